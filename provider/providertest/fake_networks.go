package providertest

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/kluster-project/kluster/provider"
)

// Networks implements provider.Provider.
func (p *Provider) Networks(ctx context.Context, sel provider.Selector) ([]provider.Network, error) {
	if err := p.begin(ctx, "Networks", ""); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(p.networks), func(n provider.Network) bool {
		return !matches(n.Labels, sel)
	}), nil
}

// CreateNetwork implements provider.Provider.
func (p *Provider) CreateNetwork(ctx context.Context, spec provider.NetworkSpec) (provider.Network, error) {
	if err := p.begin(ctx, "CreateNetwork", spec.Name); err != nil {
		return provider.Network{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.clash(spec); err != nil {
		return provider.Network{}, fmt.Errorf("creating network %q: %w", spec.Name, err)
	}
	n := provider.Network{
		ID: p.nextID("network"), Name: spec.Name,
		Labels: maps.Clone(spec.Labels), Subnets: slices.Clone(spec.Subnets),
	}
	for i, subnet := range spec.Subnets {
		gateway := subnet.Masked().Addr().Next()
		if i < len(spec.Dynamic) && spec.Dynamic[i].Addr() != subnet.Addr() {
			gateway = spec.Dynamic[i].Masked().Addr()
		}
		n.Gateways = append(n.Gateways, gateway)
	}
	p.networks = append(p.networks, n)
	return n, nil
}

// Connect implements provider.Provider.
func (p *Provider) Connect(ctx context.Context, id, network string, _ []string) error {
	if err := p.begin(ctx, "Connect", p.name(id)); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	node, err := p.find(id)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(p.networks, func(n provider.Network) bool { return n.Name == network })
	if i < 0 {
		return fmt.Errorf("connecting node %q to network %q: %w", node.Name, network, provider.ErrNotFound)
	}
	node.leave(network) // one that had the name
	node.join(p.networks[i])
	return nil
}

// Disconnect implements provider.Provider.
func (p *Provider) Disconnect(ctx context.Context, id, network string) error {
	if err := p.begin(ctx, "Disconnect", p.name(id)); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	node, err := p.find(id)
	if err != nil {
		return err
	}
	node.leave(network)
	return nil
}

// join and leave copy what others may have been given.
func (n *fakeNode) join(network provider.Network) {
	n.Networks, n.NetworkIDs = append(slices.Clone(n.Networks), network.Name), maps.Clone(n.NetworkIDs)
	slices.Sort(n.Networks)
	if n.NetworkIDs == nil {
		n.NetworkIDs = map[string]string{}
	}
	n.NetworkIDs[network.Name] = network.ID
}

func (n *fakeNode) leave(network string) {
	n.Networks = slices.DeleteFunc(slices.Clone(n.Networks), func(name string) bool { return name == network })
	n.NetworkIDs = maps.Clone(n.NetworkIDs)
	delete(n.NetworkIDs, network)
}

// Credentials implements provider.Provider.
func (p *Provider) Credentials(ctx context.Context, registry string) (provider.Credentials, error) {
	return p.Auth[registry], p.begin(ctx, "Credentials", registry)
}

// clash says what stands in the way of a network; p.mu is held.
func (p *Provider) clash(spec provider.NetworkSpec) error {
	for _, n := range p.networks {
		if n.Name == spec.Name {
			return provider.ErrNameTaken
		}
		for _, taken := range n.Subnets {
			for _, wanted := range spec.Subnets {
				if taken.Overlaps(wanted) {
					return fmt.Errorf("%w: %s and %s of %q", provider.ErrSubnetTaken, wanted, taken, n.Name)
				}
			}
		}
	}
	return nil
}
