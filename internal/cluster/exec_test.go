package cluster

import (
	"testing"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
	"github.com/kluster-project/kluster/provider/providertest"
)

// running puts the machines of a cluster, with two nodes, into the engine.
func running(t *testing.T, p *providertest.Provider, cluster string) {
	t.Helper()
	label, err := facts{Runtime: "containerd"}.label()
	if err != nil {
		t.Fatal(err)
	}
	for name, role := range map[string]nodespec.Role{
		cluster + "-control-plane-1": nodespec.RoleControlPlane,
		cluster + "-worker-1":        nodespec.RoleWorker,
		LoadBalancerName(cluster):    nodespec.RoleLoadBalancer,
	} {
		n, err := p.CreateNode(t.Context(), provider.NodeSpec{Name: name, Image: testImage, Labels: map[string]string{
			nodespec.LabelCluster: cluster, nodespec.LabelRole: string(role), nodespec.LabelSpec: label,
		}})
		if err == nil {
			err = p.StartNode(t.Context(), n.ID)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestOnly(t *testing.T) {
	p := engine(t)
	m := manager(t, p)
	only := func(name string) (string, error) { return m.Only(t.Context(), name) }
	if _, err := only(""); failure.Code(err) != failure.CodeUsage {
		t.Errorf("without clusters: %v", err)
	}
	running(t, p, "a")
	if name, err := only(""); name != "a" || err != nil {
		t.Errorf("with one: %q, %v", name, err)
	}
	running(t, p, "b")
	if name, err := only("b"); name != "b" || err != nil {
		t.Errorf("by name: %q, %v", name, err)
	}
	for _, name := range []string{"", "c"} {
		if _, err := only(name); failure.Code(err) != failure.CodeUsage || len(failure.Hints(err)) == 0 {
			t.Errorf("%q of two: %v", name, err)
		}
	}
}

func TestControlPlaneThatRuns(t *testing.T) {
	p := engine(t)
	running(t, p, "a")
	m := manager(t, p)
	if name, err := m.ControlPlane(t.Context(), "a"); err != nil || name != "a-control-plane-1" {
		t.Errorf("got %q, %v", name, err)
	}
	if err := p.StopNode(t.Context(), "a-control-plane-1", 0); err != nil {
		t.Fatal(err)
	}
	if name, err := m.ControlPlane(t.Context(), "a"); err == nil {
		t.Errorf("got %q, which is stopped", name)
	}
}
