package providertest

import (
	"context"
	"fmt"
	"time"

	"github.com/kluster-project/kluster/provider"
)

// Use implements provider.Provider.
func (p *Provider) Use(ctx context.Context, id string) (provider.Use, error) {
	if err := p.begin(ctx, "Use", id); err != nil {
		return provider.Use{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	node, err := p.find(id)
	if err != nil {
		return provider.Use{}, fmt.Errorf("asking what a node uses: %w", err)
	}
	if node.State != provider.StateRunning {
		return provider.Use{}, nil
	}
	if p.Uses != nil {
		return p.Uses(node.Node), nil
	}
	now := time.Now()
	return provider.Use{At: now, CPU: now.Sub(node.Created), Memory: 64 << 20, MemoryLimit: p.HostInfo.Memory}, nil
}
