package kluster

import "context"

// WaitReady returns when all nodes of the cluster run, Kubernetes calls them Ready, and
// the API server of each control plane answers. Kubernetes takes up to 50 seconds to see
// that a node is gone which the engine still calls running.
func (c *Cluster) WaitReady(ctx context.Context) error {
	return told(c.engine.manager.WaitReady(ctx, c.name))
}

// WaitNodeReady is WaitReady of one node.
func (c *Cluster) WaitNodeReady(ctx context.Context, node string) error {
	return told(c.engine.manager.WaitReady(ctx, c.name, node))
}

// WaitNodeNotReady returns when Kubernetes does not call a node Ready any more.
func (c *Cluster) WaitNodeNotReady(ctx context.Context, node string) error {
	return told(c.engine.manager.WaitNotReady(ctx, c.name, node))
}

// WaitGone returns when nothing is left of the cluster in the engine.
func (c *Cluster) WaitGone(ctx context.Context) error {
	return c.engine.manager.WaitGone(ctx, c.name)
}
