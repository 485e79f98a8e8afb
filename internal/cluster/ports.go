package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

// portTries is how often host ports are chosen for a node: between the choice and
// the node's start another program may take one.
const portTries = 5

// onFreePorts calls start and, as long as a host port that kluster has chosen is
// taken by then, undo and start again. A port that the user chose is not replaced.
func (c *creation) onFreePorts(ctx context.Context, chosen bool, undo, start func(context.Context) error) error {
	for try := 1; ; try++ {
		err := start(ctx)
		if !chosen || try == portTries || !errors.Is(err, provider.ErrPortTaken) {
			return err
		}
		if err := undo(ctx); err != nil {
			return err
		}
	}
}

// removeNode gives what removes one node of this create, with its volumes.
func (c *creation) removeNode(name string) func(context.Context) error {
	return func(ctx context.Context) error {
		return c.m.provider.Remove(ctx, provider.Selector{nodespec.LabelCreation: c.id, nodespec.LabelNode: name})
	}
}

// moveLoadBalancer makes the load balancer anew, at another port. Should another
// create take the name in between, this one fails.
func (c *creation) moveLoadBalancer(ctx context.Context) error {
	if err := c.removeNode(LoadBalancerName(c.cfg.Name))(ctx); err != nil {
		return err
	}
	delete(c.nodes, LoadBalancerName(c.cfg.Name))
	return c.createLoadBalancer(ctx)
}

// choosesBalancerPort says whether any port of the load balancer on the host is
// kluster's choice.
func (c *creation) choosesBalancerPort() bool {
	return c.cfg.Networking.APIServerPort == 0 || hasChosenPort(c.cfg.Networking.LoadBalancerPorts)
}

// hasChosenPort says whether any host port is kluster's choice.
func hasChosenPort(mappings []config.PortMapping) bool {
	return slices.ContainsFunc(mappings, func(m config.PortMapping) bool { return m.HostPort == 0 })
}

// choosePort publishes the API at the wanted port, or at a free one. It is named
// because one that the engine chooses changes at each restart.
func (c *creation) choosePort(ctx context.Context) (provider.Port, error) {
	p := provider.Port{
		NodePort: nodespec.APIPort, Protocol: "tcp",
		HostAddr: c.cfg.Networking.APIServerAddress, HostPort: c.cfg.Networking.APIServerPort,
	}
	var err error
	if p.HostPort == 0 {
		p.HostPort, err = c.freePort(ctx, p.HostAddr)
	}
	return p, err
}

// balancerPorts are the ports that lead to Services of type LoadBalancer.
func (c *creation) balancerPorts(ctx context.Context) ([]provider.Port, error) {
	ports, err := c.ports(ctx, c.cfg.Networking.LoadBalancerPorts)
	for i := range ports {
		ports[i].NodePort = nodespec.FirstServicePort + i
	}
	return ports, err
}

// maxFirstAddrs is in how many addresses the load balancer looks for a Service: each
// costs a connection every second.
const maxFirstAddrs = 8

// firstAddrs are the addresses that Services get first.
func firstAddrs(ranges []nodespec.AddrRange) []netip.Addr {
	var addrs []netip.Addr
	for _, r := range ranges[:min(1, len(ranges))] {
		for a := r.First; !r.Last.Less(a) && len(addrs) < maxFirstAddrs; a = a.Next() {
			addrs = append(addrs, a)
		}
	}
	return addrs
}

// ports are those that a node publishes on the host.
func (c *creation) ports(ctx context.Context, mappings []config.PortMapping) ([]provider.Port, error) {
	var out []provider.Port
	for _, m := range mappings {
		addr, err := netip.ParseAddr(m.ListenAddress)
		if err != nil {
			return nil, fmt.Errorf("listen address of port %d: %w", m.ContainerPort, err)
		}
		port := m.HostPort
		if port == 0 {
			if port, err = c.freePort(ctx, addr); err != nil {
				return nil, err
			}
		}
		out = append(out, provider.Port{
			NodePort: m.ContainerPort, HostPort: port, HostAddr: addr, Protocol: strings.ToLower(m.Protocol),
		})
	}
	return out, nil
}

// freePort finds a host port that is free now and that no cluster has: those of
// stopped ones look free, and are needed again.
func (c *creation) freePort(ctx context.Context, addr netip.Addr) (int, error) {
	nodes, err := c.m.provider.Nodes(ctx, provider.Selector{nodespec.LabelCluster: ""})
	if err != nil {
		return 0, err
	}
	kept := map[int]bool{}
	for _, n := range nodes {
		for _, p := range n.Ports {
			kept[p.HostPort] = true
		}
	}
	for {
		port, err := listenablePort(ctx, addr)
		if err != nil || !kept[port] {
			return port, err
		}
	}
}

// listenablePort finds a TCP port that is free now.
func listenablePort(ctx context.Context, addr netip.Addr) (int, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", netip.AddrPortFrom(addr, 0).String())
	if err != nil {
		return 0, fmt.Errorf("finding a free port at %s: %w", addr, err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
