package docker

import (
	"context"
	"fmt"
	"slices"

	"github.com/kluster-project/kluster/provider"
)

// PauseNode implements provider.Provider.
func (p *Provider) PauseNode(ctx context.Context, id string) error {
	if err := p.api.ContainerPause(ctx, id); err != nil && !p.isIn(ctx, id, provider.StatePaused) {
		return fmt.Errorf("pausing node %q: %w", id, p.explainState(ctx, id, err))
	}
	return nil
}

// UnpauseNode implements provider.Provider.
func (p *Provider) UnpauseNode(ctx context.Context, id string) error {
	err := p.api.ContainerUnpause(ctx, id)
	if err != nil && !p.isIn(ctx, id, provider.StateRunning, provider.StateStopped, provider.StateCreated) {
		return fmt.Errorf("unpausing node %q: %w", id, explain(err))
	}
	return nil
}

// isIn says whether a node is in one of these states. The engine refuses what is done
// already, and says so in words that change with its versions.
func (p *Provider) isIn(ctx context.Context, id string, states ...provider.State) bool {
	n, err := p.node(ctx, id)
	return err == nil && slices.Contains(states, n.State)
}

// explainState is explain for what only a node that runs can do.
func (p *Provider) explainState(ctx context.Context, id string, err error) error {
	if p.isIn(ctx, id, provider.StateStopped, provider.StateCreated) {
		return &engineError{kind: provider.ErrNotRunning, words: explain(err).Error(), err: err}
	}
	return explain(err)
}
