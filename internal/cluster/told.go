package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

// told is what a node is told at its next start, whether it runs or not. A swap of its
// container runtime changes that, and labels are for ever.
func (m *Manager) told(ctx context.Context, n provider.Node) (nodespec.Node, error) {
	data, err := m.readFile(ctx, n.ID, nodespec.NodeFile)
	if err != nil {
		return nodespec.Node{}, fmt.Errorf("reading what %s is told: %w", n.Name, err)
	}
	var node nodespec.Node
	if err := json.Unmarshal(data, &node); err != nil {
		return nodespec.Node{}, fmt.Errorf("reading %s of %s: %w", nodespec.NodeFile, n.Name, err)
	}
	return node, nil
}

// runtimeOf is the container runtime that a node has now.
func (m *Manager) runtimeOf(ctx context.Context, n provider.Node) (cri.Runtime, error) {
	told, err := m.told(ctx, n)
	if errors.Is(err, provider.ErrNotFound) {
		return firstRuntimeOf(n)
	}
	if err != nil {
		return cri.Runtime{}, err
	}
	return cri.Get(told.Runtime)
}

// firstRuntimeOf is the container runtime that a node was made with, from its label.
func firstRuntimeOf(n provider.Node) (cri.Runtime, error) {
	f, err := factsOf([]provider.Node{n})
	if err != nil {
		return cri.Runtime{}, err
	}
	return cri.Get(f.Runtime)
}

// NodesNow is Nodes with the container runtimes that they have now, which takes a look
// into each; of one that does not answer it is what it was made with.
func (m *Manager) NodesNow(ctx context.Context, name string) ([]NodeInfo, error) {
	nodes, err := m.existing(ctx, name)
	if err != nil {
		return nil, err
	}
	return m.describe(ctx, nodes), nil
}

func (m *Manager) describe(ctx context.Context, nodes []provider.Node) []NodeInfo {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	infos := make([]NodeInfo, len(nodes))
	var looks sync.WaitGroup
	for i, n := range nodes {
		infos[i] = nodeInfo(n)
		if isLoadBalancer(n) {
			continue
		}
		looks.Go(func() {
			if runtime, err := m.runtimeOf(ctx, n); err == nil {
				infos[i].Runtime = runtime.Name
			}
		})
	}
	looks.Wait()
	return infos
}

// runtimesOf names the container runtimes of machines, each once, with commas.
func runtimesOf(machines []NodeInfo) string {
	var names []string
	for _, n := range machines {
		if n.Runtime != "" {
			names = append(names, n.Runtime)
		}
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ",")
}
