package cluster

import (
	"net/netip"
	"testing"

	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

func TestServerIsReachable(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1": "https://127.0.0.1:40123",
		"0.0.0.0":   "https://127.0.0.1:40123",
		"::":        "https://[::1]:40123",
		"::1":       "https://[::1]:40123",
		"192.0.2.7": "https://192.0.2.7:40123",
	} {
		f := facts{APIAddr: netip.MustParseAddr(addr), APIPort: 40123}
		if got := f.server(); got != want {
			t.Errorf("server at %s = %s, want %s", addr, got, want)
		}
	}
}

func TestFactsSurviveTheLabel(t *testing.T) {
	f := facts{Kubernetes: "v1.36.3", Runtime: "containerd", APIAddr: netip.MustParseAddr("127.0.0.1"), APIPort: 1}
	label, err := f.label()
	if err != nil {
		t.Fatal(err)
	}
	got, err := factsOf([]provider.Node{{Name: "foreign"}, {Labels: map[string]string{nodespec.LabelSpec: label}}})
	if err != nil || got.server() != f.server() || got.Kubernetes != f.Kubernetes {
		t.Errorf("factsOf = %+v, %v", got, err)
	}
	if _, err := factsOf([]provider.Node{{Name: "foreign"}}); err == nil {
		t.Error("facts of nodes without a label")
	}
}
