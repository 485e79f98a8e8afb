package cluster

import (
	"context"
	"errors"
	"slices"

	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

// Delete removes a cluster, whole or in parts, and its kubeconfig entry: from
// kubeconfigPath, or the usual files when that is "", and from the file that the
// create was told. existed is false when there was nothing to remove, which is
// not an error. A cluster whose nodes are being changed stays as it is.
func (m *Manager) Delete(ctx context.Context, name, kubeconfigPath string) (existed bool, err error) {
	sel := provider.Selector{nodespec.LabelCluster: name}
	left, err := m.provider.Leftovers(ctx, sel)
	if err != nil {
		return false, err
	}
	nodes, err := m.provider.Nodes(ctx, sel)
	if err != nil {
		return len(left) > 0, err
	}
	// A process that cannot be seen does not count: what it has left, should it have
	// been killed, must go.
	now, err := underway(name, nodes)
	if err != nil {
		return len(left) > 0, err
	}
	if now != nil && now.seen {
		return true, now
	}
	paths := kubeconfigsWith(kubeconfigPath, nodes)
	// Both, whatever becomes of the other: with the nodes goes what they know of
	// the file.
	return len(left) > 0, errors.Join(m.provider.Remove(ctx, sel), m.removeEntry(ctx, paths, name))
}

// DeleteAll removes every cluster and names those it removed. It goes on when
// one cannot be removed.
func (m *Manager) DeleteAll(ctx context.Context, kubeconfigPath string) ([]string, error) {
	names, err := m.names(ctx)
	if err != nil {
		return nil, err
	}
	var gone []string
	var errs []error
	for _, name := range names {
		if _, err := m.Delete(ctx, name, kubeconfigPath); err != nil {
			errs = append(errs, err)
			continue
		}
		gone = append(gone, name)
	}
	errs = append(errs, m.sweepBuilds(ctx))
	err = errors.Join(errs...)
	if now := (*underwayError)(nil); errors.As(err, &now) {
		return gone, err
	}
	// Volumes or networks alone, of a cluster whose nodes are gone.
	return gone, errors.Join(err, m.provider.Remove(ctx, provider.Selector{nodespec.LabelCluster: ""}))
}

// names lists the clusters of which there is anything, sorted.
func (m *Manager) names(ctx context.Context) ([]string, error) {
	sel := provider.Selector{nodespec.LabelCluster: ""}
	nodes, err := m.provider.Nodes(ctx, sel)
	if err != nil {
		return nil, err
	}
	nets, err := m.provider.Networks(ctx, sel)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, n := range nodes {
		names = append(names, n.Labels[nodespec.LabelCluster])
	}
	for _, n := range nets {
		names = append(names, n.Labels[nodespec.LabelCluster])
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}
