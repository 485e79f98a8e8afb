package docker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kluster-project/kluster/internal/wait"
	"github.com/kluster-project/kluster/provider"
)

const (
	// noFreeze is what runc says of a cgroup (v1) that it could not freeze: while processes
	// begin in it that is a game of chances, which runc gives up after 1000 tries and leaves
	// to its callers (opencontainers/runc#2791, #4388). All are thawed again then.
	noFreeze = "unable to freeze"
	// freezeTime is how long the game is played, and freezePause what lies between rounds.
	// A round took a second at a load of 60.
	freezeTime  = 20 * time.Second
	freezePause = 100 * time.Millisecond
)

// PauseNode implements provider.Provider.
func (p *Provider) PauseNode(ctx context.Context, id string) error {
	for deadline := time.Now().Add(freezeTime); ; {
		err := p.api.ContainerPause(ctx, id)
		if err == nil || p.isIn(ctx, id, provider.StatePaused) {
			return nil
		}
		again := strings.Contains(err.Error(), noFreeze) && time.Now().Before(deadline)
		if !again || !wait.For(ctx, freezePause) {
			return fmt.Errorf("pausing node %q: %w", id, p.explainState(ctx, id, err))
		}
	}
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
