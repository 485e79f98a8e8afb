package cluster

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

func TestServerIsReachable(t *testing.T) {
	lb := map[string]string{nodespec.LabelRole: string(nodespec.RoleLoadBalancer)}
	for addr, want := range map[string]string{
		"127.0.0.1": "https://127.0.0.1:40123",
		"0.0.0.0":   "https://127.0.0.1:40123",
		"::":        "https://[::1]:40123",
		"::1":       "https://[::1]:40123",
		"192.0.2.7": "https://192.0.2.7:40123",
	} {
		got, err := serverOf([]provider.Node{{Name: "c-worker-1"}, {Labels: lb, Ports: []provider.Port{
			{NodePort: 1, HostPort: 2}, {NodePort: nodespec.APIPort, HostPort: 40123, HostAddr: netip.MustParseAddr(addr)},
		}}})
		if err != nil || got != want {
			t.Errorf("server at %s = %s, %v; want %s", addr, got, err, want)
		}
	}
	if got, err := serverOf([]provider.Node{{Name: "c-worker-1"}}); err == nil {
		t.Errorf("server without a load balancer: %s", got)
	}
}

func TestFactsSurviveTheLabel(t *testing.T) {
	f := facts{Kubernetes: "v1.36.3", Runtime: "containerd", Ephemeral: true, Kubeconfig: "/home/me/config", Subnets: []netip.Prefix{netip.MustParsePrefix("172.28.0.0/24")}}
	label, err := f.label()
	if err != nil {
		t.Fatal(err)
	}
	got, err := factsOf([]provider.Node{{Name: "foreign"}, {Labels: map[string]string{nodespec.LabelSpec: label}}})
	if diff := cmp.Diff(f, got, cmpopts.EquateComparable(netip.Prefix{})); err != nil || diff != "" {
		t.Errorf("factsOf: %v\n%s", err, diff)
	}
	if _, err := factsOf([]provider.Node{{Name: "foreign"}}); err == nil {
		t.Error("facts of nodes without a label")
	}
}
