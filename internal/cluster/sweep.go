package cluster

import (
	"context"

	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

// sweepBuilds removes the throw-away machines of image builds whose process has
// ended without doing so.
func (m *Manager) sweepBuilds(ctx context.Context) error {
	dead, err := m.deadBuilds(ctx)
	if err != nil {
		return err
	}
	for _, n := range dead {
		if err := m.removeBuild(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// deadBuilds are the throw-away machines whose process has ended.
func (m *Manager) deadBuilds(ctx context.Context) ([]provider.Node, error) {
	nodes, err := m.provider.Nodes(ctx, provider.Selector{buildLabel: ""})
	if err != nil {
		return nil, err
	}
	self, err := thisProcess()
	if err != nil {
		return nil, err
	}
	var dead []provider.Node
	for _, n := range nodes {
		by, ok := parseCreator(n.Labels[nodespec.LabelCreator])
		if !ok || !by.mayRun(self, startTime) {
			dead = append(dead, n)
		}
	}
	return dead, nil
}

// removeBuild removes a throw-away machine, with its volumes and its image's tag.
func (m *Manager) removeBuild(ctx context.Context, n provider.Node) error {
	if err := m.provider.Remove(ctx, provider.Selector{buildLabel: n.Labels[buildLabel]}); err != nil {
		return err
	}
	return m.provider.RemoveImage(ctx, n.Image)
}
