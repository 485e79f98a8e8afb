package cluster

import (
	"context"
	"errors"
	"os"
	"slices"

	"github.com/kluster-project/kluster/internal/kubeconfig"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

// Delete removes a cluster, whole or in parts, and its kubeconfig entry.
// existed is false when there was nothing to remove, which is not an error.
func (m *Manager) Delete(ctx context.Context, name, kubeconfigPath string) (existed bool, err error) {
	sel := provider.Selector{nodespec.LabelCluster: name}
	left, err := m.provider.Leftovers(ctx, sel)
	if err != nil {
		return false, err
	}
	if err := m.provider.Remove(ctx, sel); err != nil {
		return len(left) > 0, err
	}
	return len(left) > 0, m.removeEntry(ctx, kubeconfigPath, name)
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
	// Volumes or networks alone, of a cluster whose nodes are gone.
	errs = append(errs, m.provider.Remove(ctx, provider.Selector{nodespec.LabelCluster: ""}), m.sweepBuilds(ctx))
	return gone, errors.Join(errs...)
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

// removeEntry takes a cluster's entry out of the kubeconfig at path, or out of
// every file that kubectl reads.
func (m *Manager) removeEntry(ctx context.Context, path, cluster string) error {
	paths := []string{path}
	if path == "" {
		var err error
		if paths, err = kubeconfig.Paths(os.Getenv); err != nil {
			return err
		}
	}
	var errs []error
	for _, p := range paths {
		warning, err := kubeconfig.Remove(ctx, p, ContextName(cluster))
		if warning != "" {
			m.reporter.Note("%s", warning)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
