package cluster

import (
	"context"
	"fmt"
	"strings"

	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

// List describes every cluster of the engine, by name. One whose nodes do not
// answer is told of, and does not hide the others.
func (m *Manager) List(ctx context.Context) ([]Info, error) {
	names, err := m.names(ctx)
	if err != nil {
		return nil, err
	}
	infos := make([]Info, 0, len(names))
	for _, name := range names {
		info, err := m.Inspect(ctx, name)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			m.reporter.Note("cluster %s: %v", name, err)
		}
		infos = append(infos, info)
	}
	return infos, nil
}

// Inspect describes one cluster, as far as it can be told when there is an error.
func (m *Manager) Inspect(ctx context.Context, name string) (Info, error) {
	info := Info{Name: name, Status: "unknown", Nodes: []NodeInfo{}}
	nodes, err := m.machines(ctx, name)
	if err != nil {
		return info, err
	}
	if len(nodes) == 0 {
		info.Status = "incomplete"
		return info, nil
	}
	if f, err := factsOf(nodes); err == nil {
		info.Kubernetes, info.Ephemeral = f.Kubernetes, f.Ephemeral
	}
	info.Server, _ = serverOf(nodes) // "" without a load balancer
	info.Created = nodes[0].Created
	info.Nodes = m.describe(ctx, nodes)
	info.Runtime = runtimesOf(info.Nodes)
	for _, n := range nodes {
		if n.Created.Before(info.Created) {
			info.Created = n.Created
		}
	}
	state, err := m.lifeOf(ctx, nodes)
	if err != nil {
		return info, err
	}
	info.Status = statusOf(state, nodes)
	return info, nil
}

func statusOf(state life, nodes []provider.Node) string {
	switch state {
	case lifeBeingMade:
		return "creating"
	case lifeDead, lifeNone:
		return "incomplete"
	}
	in := map[provider.State]int{}
	for _, n := range nodes {
		in[n.State]++
	}
	switch len(nodes) {
	case in[provider.StateRunning]:
		return "running"
	case in[provider.StatePaused]:
		return "paused"
	case in[provider.StateStopped] + in[provider.StateCreated]:
		return "stopped"
	}
	return "degraded"
}

// Nodes lists the machines of a cluster, the load balancer included, with the
// container runtimes that they were made with; of every cluster when name is "".
func (m *Manager) Nodes(ctx context.Context, name string) ([]NodeInfo, error) {
	nodes, err := m.existing(ctx, name)
	if err != nil {
		return nil, err
	}
	infos := make([]NodeInfo, 0, len(nodes))
	for _, n := range nodes {
		infos = append(infos, nodeInfo(n))
	}
	return infos, nil
}

// existing are the machines of a cluster, which must exist; of all when name is "".
func (m *Manager) existing(ctx context.Context, name string) ([]provider.Node, error) {
	nodes, err := m.machines(ctx, name)
	if err != nil {
		return nil, err
	}
	if name != "" && len(nodes) == 0 {
		return nil, m.noSuchCluster(ctx, name)
	}
	return nodes, nil
}

func nodeInfo(n provider.Node) NodeInfo {
	info := NodeInfo{
		Cluster: n.Labels[nodespec.LabelCluster], Name: n.Name, Role: n.Labels[nodespec.LabelRole],
		State: string(n.State), Image: n.Image, Addresses: []string{},
	}
	if runtime, err := firstRuntimeOf(n); err == nil && !isLoadBalancer(n) {
		info.Runtime = runtime.Name
	}
	for _, a := range n.Addrs {
		info.Addresses = append(info.Addresses, a.String())
	}
	return info
}

// NotFoundError is a cluster or node that does not exist.
type NotFoundError struct {
	Kind, Name string
	Known      []string // what there is of that kind
}

func (e *NotFoundError) Error() string {
	if e.Name == "" {
		return "there is no " + e.Kind
	}
	return fmt.Sprintf("no %s %q", e.Kind, e.Name)
}

// Hint lists what there is.
func (e *NotFoundError) Hint() string {
	if len(e.Known) == 0 {
		return "make a cluster with: kluster create"
	}
	return fmt.Sprintf("there is: %s", strings.Join(e.Known, ", "))
}

// ExitCode is that of bad input.
func (e *NotFoundError) ExitCode() int { return 2 }

func (m *Manager) noSuchCluster(ctx context.Context, name string) error {
	known, err := m.names(ctx)
	if err != nil {
		return err
	}
	return &NotFoundError{Kind: "cluster", Name: name, Known: known}
}
