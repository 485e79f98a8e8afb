package providertest

import (
	"context"
	"fmt"

	"github.com/kluster-project/kluster/provider"
)

// PauseNode implements provider.Provider.
func (p *Provider) PauseNode(ctx context.Context, id string) error {
	return p.freeze(ctx, "PauseNode", id, func(n *fakeNode) error {
		if !n.lives() {
			return provider.ErrNotRunning
		}
		n.State = provider.StatePaused
		return nil
	})
}

// UnpauseNode implements provider.Provider.
func (p *Provider) UnpauseNode(ctx context.Context, id string) error {
	return p.freeze(ctx, "UnpauseNode", id, func(n *fakeNode) error {
		if n.State == provider.StatePaused {
			n.State = provider.StateRunning
		}
		return nil
	})
}

// freeze changes a node in one of two ways.
func (p *Provider) freeze(ctx context.Context, op, id string, change func(*fakeNode) error) error {
	if err := p.begin(ctx, op, p.name(id)); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	node, err := p.find(id)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	if err := change(node); err != nil {
		return fmt.Errorf("%s %q: %w", op, node.Name, err)
	}
	return nil
}
