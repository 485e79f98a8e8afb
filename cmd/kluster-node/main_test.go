package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/kluster-project/kluster/internal/nodespec"
)

func TestCommandsAreComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range commands() {
		if c.run == nil || c.help == "" || seen[c.name] {
			t.Errorf("command %q is not complete, or is there twice", c.name)
		}
		seen[c.name] = true
	}
	// The names that node images call and link.
	for _, name := range []string{"init", "cgroups", "store", "api-proxy", "network", "version", "kluster-ipam", "kluster-oci"} {
		if !seen[name] {
			t.Errorf("no command %q", name)
		}
	}
}

func TestOwnServer(t *testing.T) {
	servers := []string{"172.30.0.2:6443", "[fd00::3]:6443", "name:6443"}
	for _, tc := range []struct{ addr, want string }{
		{"172.30.0.2", "172.30.0.2:6443"}, {"fd00::3", "[fd00::3]:6443"}, {"172.30.0.9", ""},
	} {
		node := nodespec.Node{APIServers: servers, Addrs: []netip.Addr{netip.MustParseAddr(tc.addr)}}
		if got := ownServer(node); got != tc.want {
			t.Errorf("%s: got %q", tc.addr, got)
		}
	}
}

func TestCNIError(t *testing.T) {
	var out bytes.Buffer
	if err := cniError(&out, errors.New("no ranges")); err != nil {
		t.Fatal(err)
	}
	var got struct {
		CNIVersion, Msg string
		Code            int
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || got.Code != 11 || got.Msg != "no ranges" || got.CNIVersion == "" {
		t.Errorf("got %s, %v", out.Bytes(), err)
	}
}

func TestHostLocalIsFoundOnTheCNIPath(t *testing.T) {
	dir := t.TempDir()
	plugin := filepath.Join(dir, "host-local")
	if err := os.WriteFile(plugin, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if got := hostLocal("/nowhere:" + dir); got != plugin {
		t.Errorf("got %s", got)
	}
	if got := hostLocal(""); got != "/opt/cni/bin/host-local" {
		t.Errorf("got %s", got)
	}
}

func TestNotifyReady(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := new(net.ListenConfig).ListenPacket(t.Context(), "unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	notifyReady(t.Context(), nil)
	buf := make([]byte, 100)
	n, _, err := socket.ReadFrom(buf)
	if err != nil || string(buf[:n]) != "READY=1" {
		t.Errorf("got %q, %v", buf[:n], err)
	}
}
