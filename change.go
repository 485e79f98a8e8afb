package kluster

import (
	"context"
	"time"

	"github.com/kluster-project/kluster/internal/cluster"
	"github.com/kluster-project/kluster/internal/nodespec"
)

// changeTime bounds what AddNodes and RemoveNodes wait for, unless another time is given.
const changeTime = 5 * time.Minute

// AddOptions say which nodes a cluster gets. All that is zero has a default: the zero
// value is one worker like the nodes that there are.
type AddOptions struct {
	Role  Role
	Count int
	// Runtime and OCIRuntime run their containers; the default are those of the first
	// control plane. Image is what they are made of, else one that the cluster has.
	Runtime, OCIRuntime, Image string
	// Timeout bounds the time from the start of the nodes until they are ready.
	Timeout time.Duration
}

// AddNodes gives the cluster, which must run, more nodes, and returns their names when
// they are Ready. An add that fails, or whose context ends, removes what it made.
func (c *Cluster) AddNodes(ctx context.Context, opt AddOptions) ([]string, error) {
	add := cluster.AddOptions{
		Cluster: c.name, Role: nodespec.Role(opt.Role), Count: max(1, opt.Count),
		Runtime: opt.Runtime, OCIRuntime: opt.OCIRuntime, Image: opt.Image, Wait: orChangeTime(opt.Timeout),
	}
	if add.Role == "" {
		add.Role = nodespec.RoleWorker
	}
	added, err := c.engine.manager.AddNodes(ctx, add)
	if err != nil {
		return nil, told(err)
	}
	var names []string
	for _, n := range added.Nodes {
		names = append(names, n.Name)
	}
	return names, nil
}

// RemoveOptions say how nodes leave their cluster.
type RemoveOptions struct {
	// Force also leaves etcd without a majority, and loses pods and volumes that nothing
	// brings back.
	Force bool
	// Timeout bounds the removal of each node, its drain included.
	Timeout time.Duration
}

// RemoveNodes drains nodes and takes them out of the cluster, one after the other, with
// their members of etcd. One that does not run is not drained.
func (c *Cluster) RemoveNodes(ctx context.Context, opt RemoveOptions, nodes ...string) error {
	if len(nodes) == 0 {
		return nil
	}
	_, err := c.engine.manager.RemoveNodes(ctx, cluster.RemoveOptions{
		Cluster: c.name, Nodes: nodes, Force: opt.Force, Timeout: orChangeTime(opt.Timeout),
	})
	return told(err)
}

func orChangeTime(d time.Duration) time.Duration {
	if d == 0 {
		return changeTime
	}
	return d
}
