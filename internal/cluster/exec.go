package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"golang.org/x/sync/errgroup"

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

// LoadArchive imports the images of a docker or OCI archive into nodes (all but
// the load balancer when none are named), all at once.
func (m *Manager) LoadArchive(ctx context.Context, cluster, path string, names []string) error {
	if err := checkArchive(path); err != nil {
		return err
	}
	targets, err := m.loadTargets(ctx, cluster, names)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, n := range targets {
		g.Go(func() (err error) {
			done := m.reporter.Start("loading into "+n.Name, 0)
			defer func() { done(err) }()
			return m.loadInto(ctx, n, path)
		})
	}
	return g.Wait()
}

func (m *Manager) loadTargets(ctx context.Context, cluster string, names []string) ([]provider.Node, error) {
	if len(names) > 0 {
		var out []provider.Node
		for _, name := range names {
			n, err := m.node(ctx, cluster, name)
			if err != nil {
				return nil, err
			}
			if isLoadBalancer(n) {
				return nil, &inputError{fmt.Errorf("%s is the load balancer, which runs no containers", name)}
			}
			out = append(out, n)
		}
		return out, nil
	}
	nodes, err := m.machines(ctx, cluster)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(nodes, isLoadBalancer), nil
}

func isLoadBalancer(n provider.Node) bool {
	return n.Labels[nodespec.LabelRole] == string(nodespec.RoleLoadBalancer)
}

func (m *Manager) loadInto(ctx context.Context, n provider.Node, path string) error {
	runtime, err := m.runtimeOf(ctx, n)
	if err != nil {
		return err
	}
	archive, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("opening the archive: %w", err)
	}
	defer archive.Close()
	if err := m.provider.Exec(ctx, n.ID, provider.Command{Args: runtime.Import, Stdin: archive}); err != nil {
		return fmt.Errorf("importing the archive %s: %w", path, err)
	}
	return nil
}

// checkArchive sees that path is a readable file that is not empty, before any
// node is touched.
func checkArchive(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return &inputError{fmt.Errorf("opening the archive: %w", err)}
	}
	defer f.Close()
	if _, err := f.Read(make([]byte, 1)); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("the file is empty")
		}
		return &inputError{fmt.Errorf("reading the archive %s: %w", path, err)}
	}
	return nil
}
