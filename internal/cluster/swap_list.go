package cluster

import (
	"context"
	"slices"

	"github.com/kluster-project/kluster/provider"
)

// NodeRuntime is what runs the containers of a node, and what could.
type NodeRuntime struct {
	Cluster    string `json:"cluster"`
	Node       string `json:"node"`
	Runtime    string `json:"runtime"`
	OCIRuntime string `json:"ociRuntime"`
	// Runtimes and OCIRuntimes are those that its image holds.
	Runtimes    []string `json:"runtimes"`
	OCIRuntimes []string `json:"ociRuntimes"`
	Image       string   `json:"image"`
}

// Runtimes lists what each node of a cluster has and could have, running or not.
func (m *Manager) Runtimes(ctx context.Context, cluster string) ([]NodeRuntime, error) {
	nodes, err := m.existing(ctx, cluster)
	if err != nil {
		return nil, err
	}
	all := []NodeRuntime{}
	for _, n := range nodes {
		if isLoadBalancer(n) || isRegistry(n) {
			continue
		}
		told, err := m.told(ctx, n)
		if err != nil {
			return nil, err
		}
		one := NodeRuntime{
			Cluster: told.Cluster, Node: n.Name, Runtime: told.Runtime, OCIRuntime: ociName(told.OCIRuntime), Image: n.Image,
			Runtimes: []string{told.Runtime}, OCIRuntimes: []string{},
		}
		if manifest, err := manifestOf(provider.Image{Labels: n.Labels}); err == nil {
			one.Runtimes, one.OCIRuntimes = slices.Clone(manifest.Runtimes), ociOf(manifest)
		}
		all = append(all, one)
	}
	return all, nil
}
