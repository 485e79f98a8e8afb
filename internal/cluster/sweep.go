package cluster

import (
	"context"

	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

// sweepBuilds removes the throw-away machines of image builds whose process has
// ended without doing so.
func (m *Manager) sweepBuilds(ctx context.Context) error {
	nodes, err := m.provider.Nodes(ctx, provider.Selector{buildLabel: ""})
	if err != nil {
		return err
	}
	self, err := thisProcess()
	if err != nil {
		return err
	}
	for _, n := range nodes {
		by, ok := parseCreator(n.Labels[nodespec.LabelCreator])
		if ok && by.mayRun(self, startTime) {
			continue
		}
		if err := m.provider.Remove(ctx, provider.Selector{buildLabel: n.Labels[buildLabel]}); err != nil {
			return err
		}
		if err := m.provider.RemoveImage(ctx, n.Image); err != nil {
			return err
		}
	}
	return nil
}
