package cluster

import (
	"context"
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

func TestStatusOfAPausedCluster(t *testing.T) {
	p := engine(t)
	running(t, p, "c")
	if err := p.WriteFile("c-control-plane-1", nodespec.ReadyFile, nil); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ node, want string }{{"c-worker-1", "degraded"}, {"c-control-plane-1", "degraded"}, {"c-lb", "paused"}} {
		if err := p.PauseNode(t.Context(), step.node); err != nil {
			t.Fatal(err)
		}
		if info, err := manager(t, p).Inspect(t.Context(), "c"); err != nil || info.Status != step.want {
			t.Errorf("with %s paused: %s, %v; want %s", step.node, info.Status, err, step.want)
		}
	}
}

func TestStatusBeforeAClusterIsMade(t *testing.T) {
	p := engine(t)
	self, dead := creators(t)
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

func TestListGoesOnWhenANodeDoesNotAnswer(t *testing.T) {
	p := engine(t)
	for _, name := range []string{"sick", "well"} {
		running(t, p, name)
		if err := p.WriteFile(name+"-control-plane-1", nodespec.ReadyFile, nil); err != nil {
			t.Fatal(err)
		}
	}
	p.Fail = func(op, name string) error {
		if op == "CopyFrom" && name == "sick-control-plane-1" {
			return errors.New("stuck")
		}
		return nil
	}
	infos, err := manager(t, p).List(t.Context())
	if err != nil || len(infos) != 2 || infos[0].Status != "unknown" || len(infos[0].Nodes) != 3 || infos[1].Status != "running" {
		t.Errorf("got %+v, %v", infos, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if infos, err := manager(t, p).List(ctx); err == nil {
		t.Errorf("interrupted: %+v", infos)
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
