package cluster

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/failure"
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
			if left := leftovers(t, p, "c"); strings.Count(strings.Join(left, " "), "volume volume") != 3*(len(nodespec.Volumes)+len(cri.Volumes(cri.Default))) {
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

func TestWantedPortIsLookedAtFirst(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().(*net.TCPAddr).AddrPort()
	elsewhere := netip.MustParseAddrPort("192.0.2.1:6443") // for documentation only: no host has it
	for at, code := range map[netip.AddrPort]int{taken: failure.CodeFailed, elsewhere: failure.CodeUsage} {
		opt := wanted(t, "c", 1)
		opt.Config.Networking.APIServerAddress, opt.Config.Networking.APIServerPort = at.Addr(), int(at.Port())
		_, err := manager(t, engine(t)).Create(t.Context(), opt)
		if failure.Code(err) != code || errors.Is(err, provider.ErrPortTaken) != (at == taken) || !strings.Contains(err.Error(), at.String()) {
			t.Errorf("%s: err = %v", at, err)
		}
	}
	if err := portError("127.0.0.1:443", &net.OpError{Op: "listen", Err: os.NewSyscallError("bind", syscall.EACCES)}); err != nil {
		t.Errorf("a port that only root may use: %v", err)
	}
}
