package cluster

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

// Delete removes a cluster, whole or in parts, and its kubeconfig entry: from
// kubeconfigPath, or the usual files when that is "", and from the file that the
// create was told. existed is false when there was nothing to remove, which is
// not an error. A cluster whose nodes are being added, removed or swapped stays as it is,
// and so does one of the same name that another process begins to make meanwhile.
func (m *Manager) Delete(ctx context.Context, name, kubeconfigPath string) (existed bool, err error) {
	if name == "" { // would select every cluster
		return false, &NotFoundError{Kind: "cluster"}
	}
	// Read first: an entry that is written later is of a create that began later, or
	// of one whose nodes are found below.
	paths := usualKubeconfigs(kubeconfigPath)
	ids := entryCreations(paths, name)
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
	// been killed, must go. Nor does one that only stops or starts what is to go.
	now, err := underway(name, nodes)
	if err != nil {
		return len(left) > 0, err
	}
	if now != nil && now.seen && !now.work.yields {
		return true, now
	}
	made, err := m.creationIDs(ctx, sel)
	if err != nil {
		return len(left) > 0, err
	}
	ids = append(ids, made...)
	// Both, whatever becomes of the other: with the nodes goes what they know of
	// the file.
	return len(left) > 0, errors.Join(m.removeMade(ctx, sel, made), m.removeEntry(ctx, withToldKubeconfig(paths, nodes), name, ids))
}

// removeMade removes what the creates of these IDs have made of a cluster and, unless
// another has begun meanwhile, all else that there is of it: volumes alone, say.
func (m *Manager) removeMade(ctx context.Context, sel provider.Selector, ids []string) error {
	var errs []error
	for _, id := range ids {
		errs = append(errs, m.provider.Remove(ctx, ofCreation(sel, id)))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	left, err := m.provider.Leftovers(ctx, sel)
	if err != nil || len(left) == 0 {
		return err
	}
	if begun, err := m.creationIDs(ctx, sel); err != nil || len(begun) > 0 {
		return err
	}
	return m.provider.Remove(ctx, sel)
}

// ofCreation selects what one create has made of what sel selects.
func ofCreation(sel provider.Selector, id string) provider.Selector {
	own := maps.Clone(sel)
	own[nodespec.LabelCreation] = id
	return own
}

// creationIDs are those of the creates that have made what there is, volumes aside.
func (m *Manager) creationIDs(ctx context.Context, sel provider.Selector) ([]string, error) {
	nodes, err := m.provider.Nodes(ctx, sel)
	if err != nil {
		return nil, err
	}
	nets, err := m.provider.Networks(ctx, sel)
	if err != nil {
		return nil, err
	}
	ids := map[string]bool{}
	for _, n := range nodes {
		ids[n.Labels[nodespec.LabelCreation]] = true
	}
	for _, n := range nets {
		ids[n.Labels[nodespec.LabelCreation]] = true
	}
	delete(ids, "") // a selector would take it for any
	return slices.Sorted(maps.Keys(ids)), nil
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
	// Volumes alone, of clusters of which there is nothing else.
	return gone, errors.Join(err, m.removeMade(ctx, provider.Selector{nodespec.LabelCluster: ""}, nil))
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
