package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/wait"
	"github.com/kluster-project/kluster/provider"
)

// diskNeed is what a node writes until it is Ready, by its role: etcd alone sets 128 MB
// aside.
var diskNeed = map[nodespec.Role]int64{nodespec.RoleControlPlane: 200e6, nodespec.RoleWorker: 50e6}

// diskNeed is what all nodes of the cluster need.
func (c *creation) diskNeed() (need int64) {
	for _, n := range c.cfg.Nodes {
		need += diskNeed[n.Role]
	}
	return need
}

// checkDisk sees that the nodes will have room: without it they fail one by one, and none
// says why.
func (c *creation) checkDisk() error {
	need, free := c.diskNeed(), c.host.DataFree
	if free == 0 || free >= need { // 0 is unknown
		return nil
	}
	return failure.With(fmt.Errorf("%w: %s are free below %s, and this cluster needs %s", provider.ErrNoSpace, size(free), c.host.DataRoot, size(need)),
		failure.Exit(failure.CodeHost), failure.Hint("make room there (%s removes what nothing uses), or make fewer nodes", c.host.Prune))
}

const (
	// diskSpent is what is free of a disk on which nothing works any longer: etcd sets four
	// times as much aside whenever it goes on to another file.
	diskSpent = 16e6
	// diskLook is the pause between looks at the disk while nodes start.
	diskLook = 2 * time.Second
)

// spent is what it means for a cluster that is being made when its engine has so little
// disk left, nil if it has enough.
func (c *creation) spent(host provider.Host) error {
	if host.DataFree == 0 || host.DataFree >= diskSpent { // 0 is unknown
		return nil
	}
	return failure.With(fmt.Errorf("%w: %s are free below %s", provider.ErrNoSpace, size(host.DataFree), host.DataRoot),
		failure.Exit(failure.CodeHost), c.roomHint(host))
}

// roomHint says how to get a disk that is large enough.
func (c *creation) roomHint(host provider.Host) failure.Option {
	return failure.Hint("make room below %s (%s removes what nothing uses): this cluster needs %s", host.DataRoot, host.Prune, size(c.diskNeed()))
}

// whileSpace is ctx until the engine's disk is spent: nodes do not end for it, they only
// never get ready, and of all that they say then little names it.
func (c *creation) whileSpace(ctx context.Context) context.Context {
	ctx, end := context.WithCancelCause(ctx)
	go func() {
		defer end(nil)
		for wait.For(ctx, diskLook) {
			host, err := c.m.provider.Host(ctx)
			if err != nil {
				continue // what is asked of it next says so
			}
			if err := c.spent(host); err != nil {
				end(err)
			}
		}
	}()
	return ctx
}

// withSpace says of a create that failed that its engine's disk is full, if it is, and what
// to do about it, unless err does.
func (c *creation) withSpace(ctx context.Context, err error) error {
	full := errors.Is(err, provider.ErrNoSpace)
	if full && failure.Code(err) == failure.CodeHost {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	host, herr := c.m.provider.Host(ctx)
	if herr != nil {
		return err
	}
	if full {
		return failure.With(err, failure.Exit(failure.CodeHost), c.roomHint(host))
	}
	if spent := c.spent(host); spent != nil {
		return fmt.Errorf("%w: %w", spent, err)
	}
	return err
}
