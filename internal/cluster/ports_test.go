package cluster

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
	"github.com/kluster-project/kluster/provider/providertest"
)

// takenAtStart makes the first starts of a node fail because a port of it is
// taken, and counts the starts.
func takenAtStart(p *providertest.Provider, name string, times int) *int {
	starts := 0
	p.Fail = func(op, n string) error {
		if op != "StartNode" || n != name {
			return nil
		}
		if starts++; starts > times {
			return nil
		}
		return provider.ErrPortTaken
	}
	return &starts
}

// retained runs a create up to where the fake engine has no API, and gives the
// machines it made, by name.
func retained(t *testing.T, p *providertest.Provider, opt CreateOptions) (map[string]provider.Node, error) {
	t.Helper()
	opt.Retain = true
	_, err := manager(t, p).Create(t.Context(), opt)
	list, lerr := p.Nodes(t.Context(), provider.Selector{nodespec.LabelCluster: opt.Config.Name})
	if err == nil || lerr != nil {
		t.Fatal("created on a fake engine, or ", lerr)
	}
	nodes := map[string]provider.Node{}
	for _, n := range list {
		nodes[n.Name] = n
	}
	return nodes, err
}

func TestChosenPortsAreChosenAgain(t *testing.T) {
	for _, name := range []string{"c-lb", "c-control-plane-1"} {
		t.Run(name, func(t *testing.T) {
			p := engine(t)
			starts := takenAtStart(p, name, portTries-1)
			opt := wanted(t, "c", 3)
			opt.Config.Nodes[0].Ports = []config.PortMapping{{ContainerPort: 80, ListenAddress: "127.0.0.1", Protocol: "TCP"}}
			reserved := ""
			opt.OnStep = func(_ context.Context, step string) {
				if list, _ := p.Nodes(t.Context(), nil); step == "network" && len(list) == 1 {
					reserved = list[0].ID
				}
			}
			nodes, err := retained(t, p, opt)
			if errors.Is(err, provider.ErrPortTaken) || *starts != portTries {
				t.Errorf("%d starts, err = %v", *starts, err)
			}
			if len(nodes) != 4 || nodes[name].State != provider.StateRunning {
				t.Errorf("nodes %v", nodes)
			}
			if moved := nodes["c-lb"].ID != reserved; moved != (name == "c-lb") {
				t.Errorf("load balancer made anew: %v", moved)
			}
			if left := leftovers(t, p, "c"); strings.Count(strings.Join(left, " "), "volume volume") != 3*len(systemVolumes) {
				t.Errorf("volumes of replaced nodes are left: %v", left)
			}
			info, err := manager(t, p).Inspect(t.Context(), "c")
			if want, _ := serverOf([]provider.Node{nodes["c-lb"]}); err != nil || info.Server == "" || info.Server != want {
				t.Errorf("server %q, %v; want %q", info.Server, err, want)
			}
		})
	}
}

func TestChosenPortsAreNotChosenForever(t *testing.T) {
	p := engine(t)
	starts := takenAtStart(p, "c-lb", 100)
	if _, err := retained(t, p, wanted(t, "c", 1)); !errors.Is(err, provider.ErrPortTaken) || *starts != portTries {
		t.Errorf("%d starts, err = %v", *starts, err)
	}
}

func TestPortsAskedForAreNotReplaced(t *testing.T) {
	free, err := listenablePort(t.Context(), netip.MustParseAddr("127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	for name, ask := range map[string]func(*config.Cluster){
		"c-lb": func(c *config.Cluster) { c.Networking.APIServerPort = free },
		"c-control-plane-1": func(c *config.Cluster) {
			c.Nodes[0].Ports = []config.PortMapping{{ContainerPort: 80, HostPort: free, ListenAddress: "127.0.0.1", Protocol: "TCP"}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := engine(t)
			starts := takenAtStart(p, name, 1)
			opt := wanted(t, "c", 1)
			ask(opt.Config)
			if _, err := retained(t, p, opt); !errors.Is(err, provider.ErrPortTaken) || *starts != 1 {
				t.Errorf("%d starts, err = %v", *starts, err)
			}
		})
	}
}
