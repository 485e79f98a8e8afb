package hostnet

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
)

func root(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const (
	routeHead  = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
	routeLocal = "eth0\t00001EAC\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
	routeOut   = "eth0\t00000000\t01001EAC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
	route6None = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n"
	route6Out  = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 fd000000000000000000000000000001 00000400 00000001 00000000 00000003     eth1\n"
)

func TestDefaultRoute(t *testing.T) {
	mtus := map[string]string{"sys/class/net/eth0/mtu": "1450\n", "sys/class/net/eth1/mtu": "9000\n"}
	for _, tc := range []struct {
		name, v4, v6 string
		want         Route
		none         bool
	}{
		{name: "IPv4", v4: routeHead + routeLocal + routeOut, v6: route6Out, want: Route{"eth0", netip.MustParseAddr("172.30.0.1"), 1450}},
		{name: "IPv6 alone", v4: routeHead + routeLocal, v6: route6None + route6Out, want: Route{"eth1", netip.MustParseAddr("fd00::1"), 9000}},
		{name: "none", v4: routeHead + routeLocal, v6: route6None, none: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			files := map[string]string{"proc/net/route": tc.v4, "proc/net/ipv6_route": tc.v6}
			for name, text := range mtus {
				files[name] = text
			}
			got, err := DefaultRoute(root(t, files))
			if errors.Is(err, ErrNoDefaultRoute) != tc.none || !tc.none && err != nil {
				t.Fatal(err)
			}
			if got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestDefaultRouteWithoutIPv6InTheKernel(t *testing.T) {
	if _, err := DefaultRoute(root(t, map[string]string{"proc/net/route": routeHead})); !errors.Is(err, ErrNoDefaultRoute) {
		t.Error(err)
	}
}

func TestPortsOn(t *testing.T) {
	const head = "  sl  local_address rem_address   st tx_queue rx_queue\n"
	dir := root(t, map[string]string{
		"proc/net/udp": head + "  5: 0100007F:0035 00000000:0000 07 0:0\n  6: 0B00007F:A4EC 00000000:0000 07 0:0\n",
		"proc/net/tcp": head + "  0: 0B00007F:1234 0100007F:0035 01 0:0\n  1: 0B00007F:986F 00000000:0000 0A 0:0\n",
	})
	got, err := PortsOn(dir, netip.MustParseAddr("127.0.0.11"))
	if err != nil || got != (Ports{UDP: 42220, TCP: 39023}) {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := PortsOn(dir, netip.MustParseAddr("127.0.0.12")); err != nil || got != (Ports{}) {
		t.Errorf("got %+v, %v for a server that is not there", got, err)
	}
}
