package main

import (
	"net/netip"
	"testing"

	"github.com/kluster-project/kluster/internal/nodespec"
)

func TestNearServer(t *testing.T) {
	servers := []string{"172.30.0.2:6443", "172.30.0.3:6443", "172.30.0.4:6443"}
	at := func(name, addr string) netip.AddrPort {
		return nearServer(nodespec.Node{Name: name, Addrs: []netip.Addr{netip.MustParseAddr(addr)}, APIServers: servers})
	}
	if got := at("c-control-plane-2", "172.30.0.3"); got.String() != servers[1] {
		t.Errorf("a control plane's is %v", got)
	}
	seen := map[netip.AddrPort]bool{}
	for _, name := range []string{"c-worker-1", "c-worker-2", "c-worker-3", "c-worker-4", "c-worker-5", "c-worker-6"} {
		got := at(name, "172.30.0.9")
		if !got.IsValid() {
			t.Errorf("%s has none", name)
		}
		seen[got] = true
	}
	if len(seen) < 2 {
		t.Errorf("all workers have the same: %v", seen)
	}
	if got := nearServer(nodespec.Node{Name: "alone"}); got.IsValid() {
		t.Errorf("without API servers: %v", got)
	}
}
