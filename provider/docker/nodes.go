package docker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"golang.org/x/sync/errgroup"

	"github.com/kluster-project/kluster/provider"
)

// parallel is how many requests are under way at once.
const parallel = 16

// Nodes implements provider.Provider. Nodes that go while the list is made are
// not in it.
func (p *Provider) Nodes(ctx context.Context, sel provider.Selector) ([]provider.Node, error) {
	list, err := p.api.ContainerList(ctx, container.ListOptions{All: true, Filters: labelFilter(sel)})
	if err != nil {
		return nil, fmt.Errorf("listing nodes: %w", explain(err))
	}
	found := make([]*provider.Node, len(list))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, c := range list {
		group.Go(func() error {
			node, err := p.node(groupCtx, c.ID)
			if errors.Is(err, provider.ErrNotFound) {
				return nil
			}
			found[i] = &node
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	nodes := make([]provider.Node, 0, len(found))
	for _, node := range found {
		if node != nil {
			nodes = append(nodes, *node)
		}
	}
	slices.SortFunc(nodes, func(a, b provider.Node) int { return strings.Compare(a.Name, b.Name) })
	return nodes, nil
}

// node looks one node up.
func (p *Provider) node(ctx context.Context, id string) (provider.Node, error) {
	c, err := p.api.ContainerInspect(ctx, id)
	if err != nil {
		return provider.Node{}, fmt.Errorf("looking up node %q: %w", id, explain(err))
	}
	return nodeOf(c), nil
}

// nodeOf gives the engine's container in the provider's words.
func nodeOf(c container.InspectResponse) provider.Node {
	node := provider.Node{ID: c.ID, Name: strings.TrimPrefix(c.Name, "/")}
	if c.Config != nil {
		node.Image, node.Labels = c.Config.Image, c.Config.Labels
	}
	if c.State != nil {
		node.State, node.ExitCode = stateOf(c.State.Status), c.State.ExitCode
		node.Removing = c.State.Status == container.StateRemoving
	}
	if c.NetworkSettings != nil {
		node.Addrs = fixedAddrs(c.NetworkSettings)
		node.Networks, node.NetworkIDs = networksOf(c.NetworkSettings)
	}
	if c.HostConfig != nil {
		node.Ports = portsOf(c.HostConfig)
	}
	node.Created, _ = time.Parse(time.RFC3339Nano, c.Created)
	return node
}

// networksOf are the networks that a container is on, and their IDs by name.
func networksOf(settings *container.NetworkSettings) (names []string, ids map[string]string) {
	ids = map[string]string{}
	for name, end := range settings.Networks {
		if end != nil && end.NetworkID != "" {
			ids[name] = end.NetworkID
		}
	}
	return slices.Sorted(maps.Keys(settings.Networks)), ids
}

// stateOf maps the engine's states; one that is between two runs is stopped.
func stateOf(status container.ContainerState) provider.State {
	switch status {
	case container.StateCreated:
		return provider.StateCreated
	case container.StateRunning:
		return provider.StateRunning
	case container.StatePaused:
		return provider.StatePaused
	}
	return provider.StateStopped
}

// fixedAddrs are the addresses that were asked for, IPv4 first.
func fixedAddrs(settings *container.NetworkSettings) []netip.Addr {
	var addrs []netip.Addr
	for _, end := range settings.Networks {
		if end == nil || end.IPAMConfig == nil {
			continue
		}
		for _, text := range []string{end.IPAMConfig.IPv4Address, end.IPAMConfig.IPv6Address} {
			if addr, err := netip.ParseAddr(text); err == nil {
				addrs = append(addrs, addr)
			}
		}
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return addrs
}

// portsOf are the ports that were asked for, by their number in the node.
func portsOf(host *container.HostConfig) []provider.Port {
	var ports []provider.Port
	for port, bindings := range host.PortBindings {
		for _, b := range bindings {
			hostPort, err := strconv.Atoi(b.HostPort)
			if err != nil {
				continue
			}
			addr, _ := netip.ParseAddr(b.HostIP)
			ports = append(ports, provider.Port{
				NodePort: port.Int(), HostPort: hostPort, HostAddr: addr, Protocol: port.Proto(),
			})
		}
	}
	slices.SortFunc(ports, func(a, b provider.Port) int {
		if a.NodePort != b.NodePort {
			return a.NodePort - b.NodePort
		}
		return a.HostPort - b.HostPort
	})
	return ports
}
