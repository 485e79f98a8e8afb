package cluster

import (
	"context"
	"fmt"
	"slices"

	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

// Only gives name, or the only cluster there is when name is "".
func (m *Manager) Only(ctx context.Context, name string) (string, error) {
	names, err := m.names(ctx)
	if err != nil {
		return "", err
	}
	switch {
	case name != "" && slices.Contains(names, name):
		return name, nil
	case name != "":
		return "", &NotFoundError{Kind: "cluster", Name: name, Known: names}
	case len(names) == 1:
		return names[0], nil
	case len(names) == 0:
		return "", &NotFoundError{Kind: "cluster"}
	default:
		return "", &ambiguousError{names}
	}
}

// Exec runs a command in a node of a cluster.
func (m *Manager) Exec(ctx context.Context, cluster, node string, cmd provider.Command) error {
	n, err := m.node(ctx, cluster, node)
	if err != nil {
		return err
	}
	return m.provider.Exec(ctx, n.ID, cmd)
}

// ControlPlane names a running control plane of a cluster.
func (m *Manager) ControlPlane(ctx context.Context, cluster string) (string, error) {
	nodes, err := m.provider.Nodes(ctx, provider.Selector{
		nodespec.LabelCluster: cluster, nodespec.LabelRole: string(nodespec.RoleControlPlane),
	})
	if err != nil {
		return "", err
	}
	for _, n := range nodes {
		if n.State == provider.StateRunning {
			return n.Name, nil
		}
	}
	return "", fmt.Errorf("no control plane of cluster %q is running", cluster)
}

func (m *Manager) node(ctx context.Context, cluster, name string) (provider.Node, error) {
	nodes, err := m.machines(ctx, cluster)
	if err != nil {
		return provider.Node{}, err
	}
	var known []string
	for _, n := range nodes {
		if n.Name == name {
			return n, nil
		}
		known = append(known, n.Name)
	}
	return provider.Node{}, &NotFoundError{Kind: "node", Name: name, Known: known}
}
