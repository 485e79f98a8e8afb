package cluster

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

func TestStatusOfAClustersLife(t *testing.T) {
	for want, stopped := range map[string][]string{
		"running":  nil,
		"stopped":  {"c-lb", "c-control-plane-1", "c-worker-1"},
		"degraded": {"c-worker-1"},
	} {
		t.Run(want, func(t *testing.T) {
			p := engine(t)
			running(t, p, "c")
			if err := p.WriteFile("c-control-plane-1", nodespec.ReadyFile, nil); err != nil {
				t.Fatal(err)
			}
			for _, n := range stopped {
				if err := p.StopNode(t.Context(), n, 0); err != nil {
					t.Fatal(err)
				}
			}
			if info, err := manager(t, p).Inspect(t.Context(), "c"); err != nil || info.Status != want || len(info.Nodes) != 3 {
				t.Errorf("got %+v, %v; want %s", info, err, want)
			}
		})
	}
}

func TestStatusBeforeAClusterIsMade(t *testing.T) {
	p := engine(t)
	self, err := thisProcess()
	if err != nil {
		t.Fatal(err)
	}
	dead := self
	dead.Boot = "another"
	for name, by := range map[string]creator{"creating": self, "incomplete": dead} {
		if _, err := p.CreateNode(t.Context(), provider.NodeSpec{Name: LoadBalancerName(name), Image: testImage, Labels: map[string]string{
			nodespec.LabelCluster: name, nodespec.LabelCreator: by.String(),
		}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.CreateNetwork(t.Context(), provider.NetworkSpec{Name: "net", Labels: map[string]string{nodespec.LabelCluster: "net"}}); err != nil {
		t.Fatal(err)
	}
	infos, err := manager(t, p).List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, i := range infos {
		got[i.Name] = i.Status
	}
	if diff := cmp.Diff(map[string]string{"creating": "creating", "incomplete": "incomplete", "net": "incomplete"}, got); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
}

func TestNodesOfNoCluster(t *testing.T) {
	p := engine(t)
	running(t, p, "c")
	var missing *NotFoundError
	if _, err := manager(t, p).Nodes(t.Context(), "d"); !errors.As(err, &missing) || missing.Hint() != "there is: c" {
		t.Errorf("err = %v", err)
	}
	if all, err := manager(t, p).Nodes(t.Context(), ""); err != nil || len(all) != 3 {
		t.Errorf("all: %v, %v", all, err)
	}
}
