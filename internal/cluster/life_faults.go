package cluster

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/kluster-project/kluster/provider"
)

// endFaults undoes the faults of chosen machines that are undone from outside: their guard
// would start again what the verb has stopped.
func (l *lifecycle) endFaults(ctx context.Context) error {
	all, err := l.m.guarded(ctx, l.opt.Cluster)
	if err != nil {
		return err
	}
	ended := false
	began := time.Now()
	for _, g := range all {
		if !slices.ContainsFunc(l.chosen, func(n *machine) bool { return slices.Contains(g.Targets, n.ID) }) {
			continue
		}
		l.m.reporter.Note("undoing fault %s first", g)
		if err := l.m.undoFault(ctx, g); err != nil {
			return fmt.Errorf("undoing fault %s: %w", g, err)
		}
		ended = true
	}
	if !ended {
		return nil
	}
	return l.look(ctx, began)
}

// look takes the states of all machines anew. What runs now and did not has begun or
// gone on since.
func (l *lifecycle) look(ctx context.Context, since time.Time) error {
	now, err := l.m.existing(ctx, l.opt.Cluster)
	if err != nil {
		return err
	}
	for _, n := range l.machines {
		i := slices.IndexFunc(now, func(other provider.Node) bool { return other.ID == n.ID })
		if i < 0 || now[i].State == n.State {
			continue
		}
		n.resumed = isPaused(n)
		n.State, n.since = now[i].State, since
	}
	return nil
}
