package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

// lifeWorks are the verbs on the life of machines as works that hold the cluster's lock. A
// delete does not heed them: what it removes need not be stopped or waited for.
var lifeWorks = map[LifeVerb]work{
	Stop:    {"stop", "machines of cluster %q are being stopped", "what has stopped by then stays so", true},
	Start:   {"start", "machines of cluster %q are being started", "what runs by then stays so", true},
	Restart: {"restart", "machines of cluster %q are being restarted", "what has stopped by then may stay so", true},
	Reboot:  {"reboot", "nodes of cluster %q are being rebooted", "the nodes that have begun go on by themselves", true},
	Pause:   {"pause", "machines of cluster %q are being paused", "what is paused by then stays so", true},
	Resume:  {"resume", "machines of cluster %q go on after a pause", "what goes on by then stays so", true},
}

// lifeLockTime is how long the lock of a verb without a bound counts where nobody can see
// whether its process runs.
const lifeLockTime = time.Hour

// lock keeps other changes of the cluster away until unlock is called, which is never nil,
// and then looks up anew what the verb is about: another may just have ended.
func (l *lifecycle) lock(ctx context.Context) (unlock func(), err error) {
	nothing := func() {}
	if err := l.isWhole(ctx); err != nil {
		return nothing, err
	}
	longest := l.opt.Timeout
	if longest == 0 {
		longest = lifeLockTime
	}
	nodes := make([]provider.Node, 0, len(l.machines))
	for _, n := range l.machines {
		nodes = append(nodes, n.Node)
	}
	_, unlock, err = l.m.lock(ctx, lifeWorks[l.opt.Verb], l.opt.Cluster, nodes, longest+rollbackTime)
	switch {
	case errors.Is(err, provider.ErrNotFound), errors.Is(err, provider.ErrNoSpace):
		// Its image has gone, or the disk is full. Machines can live without the one, and make
		// room on the other when they stop.
		l.m.reporter.Note("going on without a lock: %v", err)
		unlock = nothing
	case err != nil:
		return nothing, err
	}
	now, err := l.m.newLifecycle(ctx, l.opt)
	if err != nil {
		return unlock, err
	}
	*l = *now
	return unlock, nil
}

// isWhole sees that nobody changes or makes the cluster now.
func (l *lifecycle) isWhole(ctx context.Context) error {
	all, err := l.m.provider.Nodes(ctx, provider.Selector{nodespec.LabelCluster: l.opt.Cluster})
	if err != nil {
		return err
	}
	now, err := underway(l.opt.Cluster, all)
	if err != nil {
		return err
	}
	if now != nil {
		return now
	}
	state, err := l.m.lifeOf(ctx, all)
	if err != nil {
		return err
	}
	if state == lifeBeingMade {
		return unfitError(fmt.Errorf("cluster %q is being created", l.opt.Cluster), "wait until it is ready")
	}
	return nil
}
