package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/fault"
	"github.com/kluster-project/kluster/internal/wait"
	"github.com/kluster-project/kluster/provider"
)

const (
	// slowUndoTime bounds the wait for an undo that takes long (fault.Info).
	slowUndoTime = 2 * time.Minute
	// slowUndoLook is how often it is looked whether it has ended.
	slowUndoLook = 500 * time.Millisecond
)

// UndoTime bounds the undoing of a fault that failed or is not wanted any more.
func UndoTime(kind fault.Kind) time.Duration {
	if fault.UndoesSlowly(kind) {
		return slowUndoTime + faultUndoTime
	}
	return faultUndoTime
}

// undoInside has every node that runs undo a fault that it may have.
func (m *Manager) undoInside(ctx context.Context, a fault.Active) error {
	nodes, err := m.machines(ctx, a.Cluster)
	if err != nil {
		return err
	}
	nodes = slices.DeleteFunc(nodes, func(n provider.Node) bool { return isLoadBalancer(n) || n.State != provider.StateRunning })
	errs := make([]error, len(nodes))
	var group errgroup.Group
	for i, n := range nodes {
		group.Go(func() error {
			errs[i] = m.undoIn(ctx, n, a)
			return nil
		})
	}
	_ = group.Wait()
	return m.stillThere(ctx, nodes, errs)
}

// undoIn has a node undo a fault, and returns when it has.
func (m *Manager) undoIn(ctx context.Context, n provider.Node, a fault.Active) error {
	if fault.UndoesSlowly(a.Kind) && slices.Contains(a.Nodes, n.Name) {
		err := m.provider.Exec(ctx, n.ID, provider.Command{Args: []string{"systemctl", "start", "--no-block", fault.UndoUnit(a.ID) + ".service"}})
		if _, none := errors.AsType[*provider.ExecError](err); !none {
			if err != nil {
				return err
			}
			return m.awaitUndoIn(ctx, n, a)
		}
		// It has no such unit: the fault was not armed yet, or is undone.
	}
	return m.askAgent(ctx, n, nil, nil, "undo", a.ID)
}

// awaitUndoIn returns when a node whose systemd undoes a fault has it no more.
func (m *Manager) awaitUndoIn(ctx context.Context, n provider.Node, a fault.Active) error {
	ctx, cancel := context.WithTimeoutCause(ctx, slowUndoTime, fmt.Errorf("it was waited for %v", slowUndoTime))
	defer cancel()
	for {
		found, err := m.faultsOf(ctx, n)
		if err == nil && !slices.ContainsFunc(found, func(o fault.Order) bool { return o.ID == a.ID }) {
			return nil
		}
		if errors.Is(err, provider.ErrNotRunning) || errors.Is(err, provider.ErrNotFound) {
			return err
		}
		if !wait.For(ctx, slowUndoLook) {
			return failure.With(fmt.Errorf("%s still undoes it, and goes on by itself: %w", n.Name, context.Cause(ctx)),
				failure.Hint("kluster exec %s -- journalctl --unit %s shows how far it is", n.Name, fault.UndoUnit(a.ID)))
		}
	}
}
