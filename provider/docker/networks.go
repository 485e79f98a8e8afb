package docker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"

	"github.com/kluster-project/kluster/provider"
)

// Options of the bridge driver.
const (
	optionMTU        = "com.docker.network.driver.mtu"
	optionMasquerade = "com.docker.network.bridge.enable_ip_masquerade"
)

// Networks implements provider.Provider.
func (p *Provider) Networks(ctx context.Context, sel provider.Selector) ([]provider.Network, error) {
	list, err := p.api.NetworkList(ctx, network.ListOptions{Filters: labelFilter(sel)})
	if err != nil {
		return nil, fmt.Errorf("listing networks: %w", explain(err))
	}
	networks := make([]provider.Network, 0, len(list))
	for _, n := range list {
		networks = append(networks, networkOf(n))
	}
	return networks, nil
}

// networkOf gives the engine's network in the provider's words.
func networkOf(n network.Inspect) provider.Network {
	out := provider.Network{ID: n.ID, Name: n.Name, Labels: n.Labels}
	for _, pool := range n.IPAM.Config {
		if subnet, err := netip.ParsePrefix(pool.Subnet); err == nil {
			out.Subnets = append(out.Subnets, subnet)
		}
		// Some engines write a gateway with the length of its prefix.
		text, _, _ := strings.Cut(pool.Gateway, "/")
		if gateway, err := netip.ParseAddr(text); err == nil {
			out.Gateways = append(out.Gateways, gateway)
		}
	}
	return out
}

// CreateNetwork implements provider.Provider. The gateway of each subnet is the
// first address of its dynamic range, so that it is never a node's fixed one.
func (p *Provider) CreateNetwork(ctx context.Context, spec provider.NetworkSpec) (provider.Network, error) {
	none := provider.Network{}
	options, err := p.networkOptions(ctx, spec)
	if err != nil {
		return none, fmt.Errorf("creating network %q: %w", spec.Name, err)
	}
	made, err := p.api.NetworkCreate(ctx, spec.Name, options)
	if err != nil {
		return none, fmt.Errorf("creating network %q: %w", spec.Name, explain(err))
	}
	if err := p.keepOneOfName(ctx, spec.Name, made.ID); err != nil {
		return none, fmt.Errorf("creating network %q: %w", spec.Name, err)
	}
	n, err := p.api.NetworkInspect(ctx, made.ID, network.InspectOptions{})
	if err != nil {
		return none, fmt.Errorf("looking up network %q: %w", spec.Name, explain(err))
	}
	return networkOf(n), nil
}

// Connect implements provider.Provider.
func (p *Provider) Connect(ctx context.Context, id, name string, names []string) error {
	node, err := p.node(ctx, id)
	if err != nil {
		return err
	}
	// Of a node that does not run the engine only notes the name.
	there, err := p.api.NetworkInspect(ctx, name, network.InspectOptions{})
	if err != nil {
		return fmt.Errorf("connecting node %q to network %q: %w", node.Name, name, explain(err))
	}
	if isOn(node, there) {
		return nil
	}
	if err := p.Disconnect(ctx, id, name); err != nil { // from one that had the name
		return err
	}
	err = p.api.NetworkConnect(ctx, name, id, &network.EndpointSettings{Aliases: names})
	if err == nil {
		return nil
	}
	// Another process may have done it since.
	if now, nerr := p.node(ctx, id); nerr == nil && isOn(now, there) {
		return nil
	}
	return fmt.Errorf("connecting node %q to network %q: %w", node.Name, name, explain(err))
}

// isOn says whether a node is on a network, and not on one that had its name.
func isOn(node provider.Node, there network.Inspect) bool {
	id := node.NetworkIDs[there.Name]
	return slices.Contains(node.Networks, there.Name) && (id == "" || id == there.ID)
}

// Disconnect implements provider.Provider.
func (p *Provider) Disconnect(ctx context.Context, id, name string) error {
	node, err := p.node(ctx, id)
	if err != nil || !slices.Contains(node.Networks, name) {
		return err
	}
	if err := p.api.NetworkDisconnect(ctx, name, id, true); err != nil {
		return fmt.Errorf("taking node %q off network %q: %w", node.Name, name, explain(err))
	}
	return nil
}

// networkOptions is the request for a network.
func (p *Provider) networkOptions(ctx context.Context, spec provider.NetworkSpec) (network.CreateOptions, error) {
	pools, ipv6, err := ipamPools(spec)
	if err != nil {
		return network.CreateOptions{}, err
	}
	options := network.CreateOptions{
		Driver:     "bridge",
		Labels:     spec.Labels,
		EnableIPv6: &ipv6,
		IPAM:       &network.IPAM{Driver: "default", Config: pools},
		Options:    map[string]string{optionMasquerade: "true"},
	}
	mtu := strconv.Itoa(spec.MTU)
	if spec.MTU == 0 {
		mtu, err = p.defaultMTU(ctx)
	}
	if mtu != "" {
		options.Options[optionMTU] = mtu
	}
	return options, err
}

// ipamPools gives the engine's address pools, and whether one of them is IPv6.
func ipamPools(spec provider.NetworkSpec) (pools []network.IPAMConfig, ipv6 bool, err error) {
	for i, subnet := range spec.Subnets {
		dynamic := subnet
		if i < len(spec.Dynamic) {
			dynamic = spec.Dynamic[i]
		}
		if !subnet.Contains(dynamic.Addr()) || dynamic.Bits() < subnet.Bits() {
			return nil, false, fmt.Errorf("the dynamic range %s is not in subnet %s", dynamic, subnet)
		}
		gateway := dynamic.Masked().Addr()
		if gateway == subnet.Masked().Addr() {
			gateway = gateway.Next()
		}
		pools = append(pools, network.IPAMConfig{
			Subnet: subnet.String(), IPRange: dynamic.String(), Gateway: gateway.String(),
		})
		ipv6 = ipv6 || subnet.Addr().Is6()
	}
	return pools, ipv6, nil
}

// defaultMTU is the MTU that the engine was set up with, "" if it was not:
// only its own default network has it, and others would get 1500.
func (p *Provider) defaultMTU(ctx context.Context) (string, error) {
	n, err := p.api.NetworkInspect(ctx, network.NetworkBridge, network.InspectOptions{})
	switch err := explain(err); {
	case errors.Is(err, provider.ErrNotFound):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("looking up the default network: %w", err)
	}
	return n.Options[optionMTU], nil
}

// keepOneOfName undoes the making of a network when another of the same name is
// older. Engines before API 1.44 look for the name and add it in two steps.
func (p *Provider) keepOneOfName(ctx context.Context, name, id string) error {
	if !p.apiBefore("1.44") {
		return nil
	}
	list, err := p.api.NetworkList(ctx, network.ListOptions{Filters: filters.NewArgs(filters.Arg("name", name))})
	if err != nil {
		return errors.Join(explain(err), p.dropNetwork(ctx, id))
	}
	if oldestOfName(list, name) == id {
		return nil
	}
	return errors.Join(provider.ErrNameTaken, p.dropNetwork(ctx, id))
}

// oldestOfName is the ID of the network that keeps the name: the one made
// first, and of two made at the same time the one with the smaller ID. The
// engine's own filter also finds parts of names.
func oldestOfName(list []network.Inspect, name string) string {
	var oldest network.Inspect
	for _, n := range list {
		if n.Name != name {
			continue
		}
		if oldest.ID == "" || n.Created.Before(oldest.Created) ||
			n.Created.Equal(oldest.Created) && n.ID < oldest.ID {
			oldest = n
		}
	}
	return oldest.ID
}

// dropNetwork removes a network that was just made, also after an interrupt.
func (p *Provider) dropNetwork(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	return explain(p.api.NetworkRemove(ctx, id))
}
