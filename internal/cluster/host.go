package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/kubeconfig"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

// checkHost sees that the engine answers, that the kubeconfig can be written and
// that nothing of the cluster's name is in the way; what a dead create of that
// name left is removed.
func (c *creation) checkHost(ctx context.Context) error {
	if err := c.checkKubeconfig(); err != nil {
		return err
	}
	host, err := c.m.provider.Host(ctx)
	if err != nil {
		return err
	}
	c.host = host
	if err := c.checkDisk(); err != nil {
		return err
	}
	if err := c.readCredentials(ctx); err != nil {
		return err
	}
	if len(c.cfg.Registries.Mirrors) > 0 {
		c.mirrors[nodespec.MirrorsOfUser] = c.cfg.Registries.Mirrors
	}
	if err := c.checkPorts(ctx); err != nil {
		return err
	}
	if err := c.checkSubnets(ctx); err != nil {
		return err
	}
	return c.m.clearName(ctx, c.cfg.Name)
}

// checkKubeconfig settles which file the entry will go into.
func (c *creation) checkKubeconfig() error {
	if c.opt.NoKubeconfig {
		return nil
	}
	path, err := kubeconfig.Path(c.opt.Kubeconfig, os.Getenv)
	if err != nil {
		return &inputError{err}
	}
	if err := kubeconfig.Check(path, ContextName(c.cfg.Name)); err != nil {
		return &inputError{failure.With(err, failure.Hint("mend it, or name another file with --kubeconfig"))}
	}
	c.kubeconfig = path
	return nil
}

// checkPorts sees that the ports wanted of the host for the API and for Services are
// free before anything is made.
func (c *creation) checkPorts(ctx context.Context) error {
	want := c.cfg.Networking
	if err := checkPort(ctx, "API server address", want.APIServerAddress, want.APIServerPort); err != nil {
		return err
	}
	for _, m := range want.LoadBalancerPorts {
		addr, err := netip.ParseAddr(m.ListenAddress)
		if err != nil {
			return fmt.Errorf("listen address of load balancer port %d: %w", m.ContainerPort, err)
		}
		if err := checkPort(ctx, "load balancer port", addr, m.HostPort); err != nil {
			return err
		}
	}
	return nil
}

// checkPort sees that a port, if any is wanted, is free.
func checkPort(ctx context.Context, what string, addr netip.Addr, port int) error {
	if port == 0 {
		return nil
	}
	at := netip.AddrPortFrom(addr, uint16(port)).String()
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", at)
	if err != nil {
		return portError(what+" "+at, err)
	}
	return l.Close()
}

// portError is what it means that this program cannot listen at a wanted address.
func portError(what string, err error) error {
	switch {
	case errors.Is(err, syscall.EACCES): // the engine may do what this user may not
		return nil
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s: %w: %w", what, provider.ErrPortTaken, err)
	default: // such as an address that is not this host's
		return &inputError{fmt.Errorf("%s: %w", what, err)}
	}
}

// checkSubnets sees that wanted node subnets are free before anything is made.
func (c *creation) checkSubnets(ctx context.Context) error {
	want := c.cfg.Networking.NodeSubnets
	if len(want) == 0 {
		return nil
	}
	taken, err := c.takenPrefixes(ctx)
	if err != nil {
		return err
	}
	for _, p := range want {
		for _, t := range taken {
			if p.Overlaps(t) {
				return fmt.Errorf("subnet %s of the nodes overlaps %s: %w", p, t, provider.ErrSubnetTaken)
			}
		}
	}
	return nil
}

// errExists is a create of a name that is in use.
type errExists struct{ name, why string }

func (e *errExists) Error() string { return fmt.Sprintf("cluster %q %s", e.name, e.why) }

// Hint tells what to do about it.
func (e *errExists) Hint() string {
	return fmt.Sprintf("use it as it is, choose another --name, or remove it with: kluster delete %s", e.name)
}

// clearName fails if a cluster of that name lives or is being made, and removes
// what creates that died have left. Each create's objects are judged and removed
// by its own ID: another that begins in the meantime is not touched.
func (m *Manager) clearName(ctx context.Context, name string) error {
	creations, err := m.creations(ctx, name)
	if err != nil {
		return err
	}
	var dead []string
	for id, nodes := range creations {
		state, err := m.lifeOf(ctx, nodes)
		if err != nil {
			return err
		}
		switch state {
		case lifeMade:
			return &errExists{name, "exists"}
		case lifeBeingMade:
			return &errExists{name, "is being created by another process"}
		default:
			dead = append(dead, id)
		}
	}
	for _, id := range dead {
		m.reporter.Note("removing what an interrupted create of %q left", name)
		sel := provider.Selector{nodespec.LabelCluster: name, nodespec.LabelCreation: id}
		if err := m.provider.Remove(ctx, sel); err != nil {
			return err
		}
	}
	return nil
}

// creations are the nodes of a cluster by the create that made them. A create
// of which only a network is left has none.
func (m *Manager) creations(ctx context.Context, name string) (map[string][]provider.Node, error) {
	sel := provider.Selector{nodespec.LabelCluster: name}
	// Networks first: a create makes its network after the machine that holds the name,
	// so that one that begins now is not taken for one of which only a network is left.
	nets, err := m.provider.Networks(ctx, sel)
	if err != nil {
		return nil, err
	}
	nodes, err := m.provider.Nodes(ctx, sel)
	if err != nil {
		return nil, err
	}
	byID := map[string][]provider.Node{}
	for _, n := range nets {
		byID[n.Labels[nodespec.LabelCreation]] = nil
	}
	for _, n := range nodes {
		id := n.Labels[nodespec.LabelCreation]
		byID[id] = append(byID[id], n)
	}
	if len(byID[""]) > 0 {
		return nil, fmt.Errorf("%s carries no label %s: %w", byID[""][0].Name, nodespec.LabelCreation, &errExists{name, "exists, or what is left of it"})
	}
	delete(byID, "") // a selector would take it for any
	return byID, nil
}

// life says how far a cluster's create has come.
type life int

const (
	lifeNone      life = iota // there are no nodes
	lifeMade                  // the create ended well
	lifeBeingMade             // its process may still run
	lifeDead                  // its process ended before the cluster was ready
)

func (m *Manager) lifeOf(ctx context.Context, nodes []provider.Node) (life, error) {
	if len(nodes) == 0 {
		return lifeNone, nil
	}
	made, err := m.isMade(ctx, nodes)
	if err != nil {
		return lifeNone, err
	}
	if made {
		return lifeMade, nil
	}
	self, err := thisProcess()
	if err != nil {
		return lifeNone, err
	}
	for _, n := range nodes {
		if isLock(n) || isFault(n) {
			continue // of what is done to a cluster, not of its create
		}
		if by, ok := parseCreator(n.Labels[nodespec.LabelCreator]); ok && by.mayRun(self, startTime) {
			return lifeBeingMade, nil
		}
	}
	return lifeDead, nil
}

// lookTime bounds a look at a node: an engine that is stuck on one must not hold
// up what is about others.
const lookTime = 10 * time.Second

// isMade looks for the mark that a create leaves last, on any control plane.
func (m *Manager) isMade(ctx context.Context, nodes []provider.Node) (bool, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, lookTime, fmt.Errorf("the engine did not answer within %v", lookTime))
	defer cancel()
	for _, n := range nodes {
		if n.Labels[nodespec.LabelRole] != string(nodespec.RoleControlPlane) {
			continue
		}
		r, err := m.provider.CopyFrom(ctx, n.ID, nodespec.ReadyFile)
		if err == nil {
			return true, r.Close()
		}
		if !errors.Is(err, provider.ErrNotFound) {
			return false, err
		}
	}
	return false, nil
}
