package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

// checkHost sees that the engine answers and that nothing of the cluster's name
// is in the way; what a dead create of that name left is removed.
func (c *creation) checkHost(ctx context.Context) error {
	host, err := c.m.provider.Host(ctx)
	if err != nil {
		return err
	}
	c.host = host
	if err := c.checkPort(ctx); err != nil {
		return err
	}
	return c.m.clearName(ctx, c.cfg.Name)
}

// checkPort sees that a wanted API port is free before anything is made.
func (c *creation) checkPort(ctx context.Context) error {
	port := c.cfg.Networking.APIServerPort
	if port == 0 {
		return nil
	}
	at := netip.AddrPortFrom(c.cfg.Networking.APIServerAddress, uint16(port)).String()
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", at)
	if err != nil {
		return fmt.Errorf("API server address %s: %w: %w", at, provider.ErrPortTaken, err)
	}
	return l.Close()
}

// errExists is a create of a name that is in use.
type errExists struct{ name, why string }

func (e *errExists) Error() string { return fmt.Sprintf("cluster %q %s", e.name, e.why) }

// Hint tells what to do about it.
func (e *errExists) Hint() string {
	return fmt.Sprintf("use it as it is, choose another --name, or remove it with: kluster delete %s", e.name)
}

// clearName fails if a cluster of that name lives or is being made, and removes
// what a create that died has left.
func (m *Manager) clearName(ctx context.Context, name string) error {
	sel := provider.Selector{nodespec.LabelCluster: name}
	nodes, err := m.provider.Nodes(ctx, sel)
	if err != nil {
		return err
	}
	state, err := m.lifeOf(ctx, nodes)
	if err != nil {
		return err
	}
	switch state {
	case lifeMade:
		return &errExists{name, "exists"}
	case lifeBeingMade:
		return &errExists{name, "is being created by another process"}
	}
	left, err := m.provider.Leftovers(ctx, sel)
	if err != nil || len(left) == 0 {
		return err
	}
	m.reporter.Note("removing what an interrupted create of %q left: %s", name, strings.Join(left, ", "))
	return m.provider.Remove(ctx, sel)
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
	if by, ok := parseCreator(nodes[0].Labels[nodespec.LabelCreator]); ok && by.mayRun(self, startTime) {
		return lifeBeingMade, nil
	}
	return lifeDead, nil
}

// isMade looks for the mark that a create leaves last, on any control plane.
func (m *Manager) isMade(ctx context.Context, nodes []provider.Node) (bool, error) {
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
