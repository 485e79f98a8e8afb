package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/fault"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/wait"
	"github.com/kluster-project/kluster/provider"
)

// remedies are how nodes are hit from outside, and how each is undone; what is undone
// already, or is no longer as the fault has left it, stays as it is.
var remedies = map[fault.Kind]struct {
	apply func(ctx context.Context, p provider.Provider, id string) error
	// left is the state that the fault has left a node in.
	left provider.State
	undo func(ctx context.Context, p provider.Provider, id string) error
}{
	fault.Kill: {
		apply: func(ctx context.Context, p provider.Provider, id string) error { return p.KillNode(ctx, id, "KILL") },
		left:  provider.StateStopped,
		undo:  func(ctx context.Context, p provider.Provider, id string) error { return p.StartNode(ctx, id) },
	},
	fault.Pause: {
		apply: func(ctx context.Context, p provider.Provider, id string) error { return p.PauseNode(ctx, id) },
		left:  provider.StatePaused,
		undo:  func(ctx context.Context, p provider.Provider, id string) error { return p.UnpauseNode(ctx, id) },
	},
}

// Answers of a guard. The first says that it is armed: from then on the fault is undone
// even if nobody hears the second.
const (
	guardArmed = "armed"
	guardHolds = "holds"
)

// guardAnswer is a line that a guard says.
type guardAnswer struct {
	State string `json:"state,omitempty"`
	Error string `json:"error,omitempty"`
	Code  int    `json:"code,omitempty"` // exit code of the error
}

// guardGivesUp is how much later than it should a guard still tries to undo a fault, on
// an engine that does not answer; later, the next kluster does.
const guardGivesUp = time.Hour

// Look at the record of a fault, and pause between tries to undo it.
const (
	guardLook  = time.Second
	guardRetry = time.Second
)

// underGuard begins a fault that a process of its own does and undoes.
func (h *hurt) underGuard(ctx context.Context) error {
	if err := h.m.onlyOne(ctx, h.Active); err != nil {
		return err
	}
	g := guardedFault{Active: h.Active, Image: h.targets[0].Image, Creation: h.targets[0].Labels[nodespec.LabelCreation]}
	for _, n := range h.targets {
		g.Targets = append(g.Targets, n.ID)
	}
	order, err := json.Marshal(g)
	if err != nil {
		return fmt.Errorf("encoding the fault: %w", err)
	}
	guard, err := h.m.startGuard(order)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, guard.dismiss)
	defer stop()
	err = hear(guard.answers)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// hear listens to a guard until the fault holds.
func hear(answers io.ReadCloser) error {
	defer answers.Close()
	armed := false
	for d := json.NewDecoder(answers); ; {
		var a guardAnswer
		err := d.Decode(&a)
		switch {
		case err != nil:
			return fmt.Errorf("the guard of the fault ended before it held (armed: %t): %w", armed, err)
		case a.Error != "":
			return failure.New(a.Error, failure.Exit(a.Code))
		case a.State == guardHolds:
			return nil
		}
		armed = a.State == guardArmed
	}
}

// onlyOne refuses a fault that a node has already; of two that begin at the same time,
// the one whose record came later.
func (m *Manager) onlyOne(ctx context.Context, a fault.Active) error {
	all, err := m.guarded(ctx, a.Cluster)
	if err != nil {
		return err
	}
	own := slices.IndexFunc(all, func(g guardedFault) bool { return g.ID == a.ID })
	for _, g := range all {
		if g.ID == a.ID || g.Kind != a.Kind || !shareNode(g.Nodes, a.Nodes) {
			continue
		}
		if own >= 0 && (g.made.After(all[own].made) || g.made.Equal(all[own].made) && g.ID > a.ID) {
			continue
		}
		return failure.New(fmt.Sprintf("there is fault %s already, %s, until %s; nothing was changed", g, g.ID, g.Until.Local().Format(time.TimeOnly)),
			failure.Exit(failure.CodeHost), failure.Hint("kluster fault clear %s ends it", g.ID))
	}
	return nil
}

func shareNode(a, b []string) bool {
	return slices.ContainsFunc(a, func(name string) bool { return slices.Contains(b, name) })
}

// Guard is what the process does that guards a fault: it reads the fault from order,
// records it, says that it is armed, does it, says that it holds, and undoes it when its
// time is up, somebody else has undone it, or ctx ends. It closes answers when there is
// nothing more to say.
func (m *Manager) Guard(ctx context.Context, order io.Reader, answers io.WriteCloser) error {
	var g guardedFault
	err := json.NewDecoder(order).Decode(&g)
	if err == nil {
		err = m.beginGuarded(ctx, g, answers)
	}
	if err != nil {
		err = errors.Join(err, say(answers, guardAnswer{Error: err.Error(), Code: failure.Code(err)}))
	}
	err = errors.Join(err, answers.Close())
	if err != nil {
		return err
	}
	return m.endGuarded(ctx, g)
}

// say tells whoever has started the guard; nobody may be left to hear it.
func say(answers io.Writer, a guardAnswer) error {
	_ = json.NewEncoder(answers).Encode(a)
	return nil
}

// beginGuarded does a fault after its undo is armed. What fails is undone, but nothing
// that it has not done: another fault may have.
func (m *Manager) beginGuarded(ctx context.Context, g guardedFault, answers io.Writer) error {
	remedy, ok := remedies[g.Kind]
	if !ok {
		return fmt.Errorf("no fault %q is guarded", g.Kind)
	}
	var hit []string
	apply := func(id string) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		err := remedy.apply(ctx, m.provider, id)
		// Any other error may have come after the node was hit.
		if !errors.Is(err, provider.ErrNotRunning) && !errors.Is(err, provider.ErrNotFound) {
			hit = append(hit, id)
		}
		return err
	}
	begin := func() error {
		if err := m.recordFault(ctx, g); err != nil {
			return err
		}
		if err := m.onlyOne(ctx, g.Active); err != nil {
			return err
		}
		_ = say(answers, guardAnswer{State: guardArmed})
		return onAll(g.Targets, apply)
	}
	if err := begin(); err != nil {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), faultUndoTime)
		defer cancel()
		if len(hit) == 0 {
			return errors.Join(err, m.forgetFault(undo, g.Cluster, g.ID))
		}
		g.Targets = hit
		return errors.Join(err, m.undoFault(undo, g))
	}
	return say(answers, guardAnswer{State: guardHolds})
}

// onAll does something to nodes, one after the other, and gives every error.
func onAll(ids []string, do func(id string) error) error {
	var errs []error
	for _, id := range ids {
		errs = append(errs, do(id))
	}
	return errors.Join(errs...)
}

// endGuarded waits until a fault's time is up, and undoes it.
func (m *Manager) endGuarded(ctx context.Context, g guardedFault) error {
	for time.Now().Before(g.Until) {
		if there, err := m.isThere(ctx, g.Active); err == nil && !there {
			return nil
		}
		if !wait.For(ctx, min(guardLook, max(time.Until(g.Until), time.Millisecond))) {
			break // it is told to end
		}
	}
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), g.Until.Add(guardGivesUp))
	defer cancel()
	for {
		err := m.undoGuarded(ctx, g.Cluster, g.ID)
		if err == nil || !wait.For(ctx, guardRetry) {
			return err
		}
	}
}

// undoFault undoes a fault and then removes its record. Nodes that have gone, or that
// somebody has started, stopped or unpaused since, are left as they are.
func (m *Manager) undoFault(ctx context.Context, g guardedFault) error {
	remedy, ok := remedies[g.Kind]
	if !ok {
		return fmt.Errorf("this kluster does not know faults of kind %q", g.Kind)
	}
	nodes, err := m.machines(ctx, g.Cluster)
	if err != nil {
		return err
	}
	err = onAll(g.Targets, func(id string) error {
		left := slices.ContainsFunc(nodes, func(n provider.Node) bool { return n.ID == id && n.State == remedy.left })
		if !left {
			return nil
		}
		if err := remedy.undo(ctx, m.provider, id); err != nil && !errors.Is(err, provider.ErrNotFound) {
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	return m.forgetFault(ctx, g.Cluster, g.ID)
}
