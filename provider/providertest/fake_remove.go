package providertest

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/kluster-project/kluster/provider"
)

var errEmptySelector = errors.New("refusing an empty selector: it would match everything")

// Remove implements provider.Provider.
func (p *Provider) Remove(ctx context.Context, sel provider.Selector) error {
	if len(sel) == 0 {
		return errEmptySelector
	}
	if err := p.begin(ctx, "Remove", ""); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.nodes, func(_ string, node *fakeNode) bool {
		if !matches(node.Labels, sel) {
			return false
		}
		node.halt(137)
		return true
	})
	for _, node := range p.nodes { // those of others are taken off what goes
		if node.lives() {
			node.Networks = slices.DeleteFunc(slices.Clone(node.Networks), func(name string) bool {
				return slices.ContainsFunc(p.networks, func(n provider.Network) bool { return n.Name == name && matches(n.Labels, sel) })
			})
		}
	}
	p.networks = slices.DeleteFunc(p.networks, func(n provider.Network) bool { return matches(n.Labels, sel) })
	return nil
}

// Leftovers implements provider.Provider.
func (p *Provider) Leftovers(ctx context.Context, sel provider.Selector) ([]string, error) {
	if len(sel) == 0 {
		return nil, errEmptySelector
	}
	if err := p.begin(ctx, "Leftovers", ""); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var nodes, others []string
	for _, name := range slices.Sorted(maps.Keys(p.nodes)) {
		node := p.nodes[name]
		if !matches(node.Labels, sel) {
			continue
		}
		nodes = append(nodes, "node "+name)
		for _, volume := range node.volumes {
			others = append(others, "volume "+volume)
		}
	}
	for _, n := range p.networks {
		if matches(n.Labels, sel) {
			others = append(others, "network "+n.Name)
		}
	}
	return append(nodes, others...), nil
}
