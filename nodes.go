package kluster

import (
	"bytes"
	"context"

	"github.com/kluster-project/kluster/internal/cluster"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

// Role of a machine in a cluster.
type Role string

// The roles.
const (
	ControlPlane Role = Role(nodespec.RoleControlPlane)
	Worker       Role = Role(nodespec.RoleWorker)
	// LoadBalancer is no node of Kubernetes: it leads from this machine to the control
	// planes.
	LoadBalancer Role = Role(nodespec.RoleLoadBalancer)
)

// State of a machine.
type State string

// The states.
const (
	Created State = State(provider.StateCreated)
	Running State = State(provider.StateRunning)
	Paused  State = State(provider.StatePaused)
	Stopped State = State(provider.StateStopped)
)

// Node is a machine of a cluster as the engine sees it.
type Node struct {
	Name      string
	Role      Role
	State     State
	Addresses []string
	// Runtime is its container runtime, "" for the load balancer.
	Runtime string
	Image   string
}

// Nodes lists the machines of the cluster by name, the load balancer among them.
func (c *Cluster) Nodes(ctx context.Context) ([]Node, error) {
	infos, err := c.engine.manager.NodesNow(ctx, c.name)
	if err != nil {
		return nil, told(err)
	}
	nodes := make([]Node, 0, len(infos))
	for _, i := range infos {
		nodes = append(nodes, Node{
			Name: i.Name, Role: Role(i.Role), State: State(i.State), Addresses: i.Addresses, Runtime: i.Runtime, Image: i.Image,
		})
	}
	return nodes, nil
}

// Stop stops all machines of the cluster, which keep what they have.
func (c *Cluster) Stop(ctx context.Context) error { return c.life(ctx, cluster.Stop, false) }

// Start starts all machines of the cluster that do not run, and waits until it is ready.
func (c *Cluster) Start(ctx context.Context) error { return c.life(ctx, cluster.Start, false) }

// Restart is Stop and Start.
func (c *Cluster) Restart(ctx context.Context) error { return c.life(ctx, cluster.Restart, false) }

// Pause freezes all machines of the cluster.
func (c *Cluster) Pause(ctx context.Context) error { return c.life(ctx, cluster.Pause, false) }

// Resume lets those that are paused go on, and waits until the cluster is ready.
func (c *Cluster) Resume(ctx context.Context) error { return c.life(ctx, cluster.Resume, false) }

// StopOptions say how nodes are stopped.
type StopOptions struct {
	// Force also stops control planes without which etcd has no majority.
	Force bool
}

// StopNodes stops nodes all at once, as a machine is switched off.
func (c *Cluster) StopNodes(ctx context.Context, opt StopOptions, nodes ...string) error {
	return c.lifeOf(ctx, cluster.Stop, opt.Force, nodes)
}

// StartNodes starts nodes all at once and waits until they are Ready. Paused ones go on.
func (c *Cluster) StartNodes(ctx context.Context, nodes ...string) error {
	return c.lifeOf(ctx, cluster.Start, false, nodes)
}

// RestartNodes stops and starts nodes, one after the other; each is Ready before the next
// is stopped.
func (c *Cluster) RestartNodes(ctx context.Context, nodes ...string) error {
	return c.lifeOf(ctx, cluster.Restart, false, nodes)
}

// RebootNodes lets nodes reboot themselves, one after the other, as RestartNodes does
// from outside.
func (c *Cluster) RebootNodes(ctx context.Context, nodes ...string) error {
	return c.lifeOf(ctx, cluster.Reboot, false, nodes)
}

// lifeOf is life for nodes, of which there is at least one.
func (c *Cluster) lifeOf(ctx context.Context, verb cluster.LifeVerb, force bool, nodes []string) error {
	if len(nodes) == 0 {
		return nil
	}
	return c.life(ctx, verb, force, nodes...)
}

func (c *Cluster) life(ctx context.Context, verb cluster.LifeVerb, force bool, nodes ...string) error {
	_, err := c.engine.manager.Life(ctx, cluster.LifeOptions{Verb: verb, Cluster: c.name, Nodes: nodes, Force: force})
	return told(err)
}

// Exec runs a command in a node, as root, and gives what it printed to standard output.
// One that ends with another code than 0 is an error that says what it printed to
// standard error.
func (c *Cluster) Exec(ctx context.Context, node string, command ...string) (string, error) {
	var out bytes.Buffer
	err := c.engine.manager.Exec(ctx, c.name, node, provider.Command{Args: command, Stdout: &out})
	return out.String(), told(err)
}
