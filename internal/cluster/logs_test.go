package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/logs"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

func TestExportLogs(t *testing.T) {
	p := engine(t)
	running(t, p, "c")
	p.Handle = func(_ context.Context, _ provider.Node, cmd provider.Command) int {
		_, _ = io.WriteString(cmd.Stdout, strings.Join(cmd.Args, " ")+"\n")
		return 0
	}
	// What a node has now counts, not what it was made with.
	if err := p.WriteFile("c-worker-1", nodespec.NodeFile, []byte(`{"runtime":"cri-o"}`)); err != nil {
		t.Fatal(err)
	}
	if err := p.WriteFile(LoadBalancerName("c"), nodespec.LoadBalancerConfig, []byte("listen api\n")); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "bundle")
	s, err := manager(t, p).ExportLogs(t.Context(), ExportOptions{Cluster: "c", Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"nodes/c-control-plane-1/runtime.log":       "--unit=containerd.service",
		"nodes/c-worker-1/runtime.log":              "--unit=crio.service",
		"nodes/c-lb/config/etc/haproxy/haproxy.cfg": "listen api",
	} {
		if data, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !strings.Contains(string(data), want) {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
	// There is no kubeconfig in these nodes, and so no API.
	if s.API || len(s.Causes) == 0 || s.Causes[0].Kind != logs.KindAPI {
		t.Errorf("causes %+v", s.Causes)
	}
	var missing *NotFoundError
	if _, err := manager(t, p).ExportLogs(t.Context(), ExportOptions{Cluster: "d", Dir: t.TempDir()}); !errors.As(err, &missing) {
		t.Errorf("no such cluster: %v", err)
	}
}

// A failed create leaves the same, whose folder and first cause the error names. The
// load balancer is asked for nothing that it has not.
func TestFailedCreateExportsLogs(t *testing.T) {
	p := engine(t)
	var mu sync.Mutex
	asked := map[string]int{}
	p.Handle = func(_ context.Context, n provider.Node, cmd provider.Command) int {
		mu.Lock()
		asked[n.Name]++
		mu.Unlock()
		if cmd.Args[0] == "systemctl" && cmd.Args[1] == "show" {
			fmt.Fprintln(cmd.Stdout, "Id=kubelet.service\nActiveState=failed\nSubState=failed")
			return 0
		}
		return 1
	}
	_, err := manager(t, p).Create(t.Context(), wanted(t, "c", 1))
	var failed interface{ LogPath() string }
	if !errors.As(err, &failed) {
		t.Fatalf("no logs: %v", err)
	}
	if data, err := os.ReadFile(filepath.Join(failed.LogPath(), "summary.txt")); err != nil || !strings.Contains(string(data), "unit kubelet.service is failed (failed)") {
		t.Errorf("%s, %v", data, err)
	}
	if hints := failure.Hints(err); !slices.Contains(hints, "likely cause: c-control-plane-1: unit kubelet.service is failed (failed)") {
		t.Errorf("hints %q", hints)
	}
	if asked["c-control-plane-1"] == 0 || asked["c-lb"] > 0 {
		t.Errorf("asked %v", asked)
	}
	if info, err := os.Stat(filepath.Join(failed.LogPath(), "nodes", "c-lb", "engine.json")); err != nil {
		t.Errorf("%v, %v", info, err)
	}
}

func TestNodeLogs(t *testing.T) {
	p := engine(t)
	p.Boot = func(n provider.Node) string { return n.Name + " is up\n" }
	running(t, p, "c")
	p.Handle = func(_ context.Context, _ provider.Node, cmd provider.Command) int {
		_, _ = io.WriteString(cmd.Stdout, strings.Join(cmd.Args[5:], " ")+"\n")
		return 0
	}
	if err := p.WriteFile("c-worker-1", nodespec.NodeFile, []byte(`{"runtime":"cri-o"}`)); err != nil {
		t.Fatal(err)
	}
	m := manager(t, p)
	read := func(node string, opt LogOptions) (string, error) {
		var out bytes.Buffer
		err := m.NodeLogs(t.Context(), "c", node, opt, &out, io.Discard)
		return out.String(), err
	}
	for _, test := range []struct {
		node string
		opt  LogOptions
		want string
	}{
		{"c-control-plane-1", LogOptions{}, "--unit=kubelet.service --unit=containerd.service\n"},
		{"c-worker-1", LogOptions{Follow: true}, "--follow --no-tail --unit=kubelet.service --unit=crio.service\n"},
		{"c-worker-1", LogOptions{Units: []string{"dbus"}, Since: time.Unix(1000, 0)}, "--since=@1000 --unit=dbus\n"},
		{"c-lb", LogOptions{}, "c-lb is up\n"},
		{"c-lb", LogOptions{Since: time.Now().Add(time.Hour)}, ""},
	} {
		if got, err := read(test.node, test.opt); err != nil || got != test.want {
			t.Errorf("%s %+v: %q, %v", test.node, test.opt, got, err)
		}
	}
	if _, err := read("c-lb", LogOptions{Units: []string{"kubelet"}}); failure.Code(err) != failure.CodeUsage {
		t.Errorf("a unit of the load balancer: %v", err)
	}
	var missing *NotFoundError
	if _, err := read("d", LogOptions{}); !errors.As(err, &missing) {
		t.Errorf("no such node: %v", err)
	}
	if err := p.KillNode(t.Context(), "c-worker-1", "KILL"); err != nil {
		t.Fatal(err)
	}
	if _, err := read("c-worker-1", LogOptions{}); err == nil || !strings.Contains(err.Error(), "c-worker-1 is stopped") {
		t.Errorf("a node that is stopped: %v", err)
	}
}
