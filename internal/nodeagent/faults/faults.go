// Package faults does faults inside a node, and undoes them. The undo is armed before
// anything is changed: a timer of the node's systemd, which needs nobody outside. What
// holds is recorded below Machine.Dir, which is in memory: a node that is started again
// has neither the fault nor its record.
package faults

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/kluster-project/kluster/internal/fault"
)

// Machine is the node, as faults see it.
type Machine struct {
	// Root is put before every path: "" on a node, a folder in tests.
	Root string
	// Self is the path of this program, which units of systemd start again.
	Self string
	// Output runs a command with stdin and gives its standard output; its error
	// carries what the command wrote to stderr.
	Output func(ctx context.Context, stdin, name string, args ...string) (string, error)
	// Kill sends SIGKILL to a process.
	Kill func(pid int) error
	// Ready says that the work of a process that was started for it has begun.
	Ready func()
	Log   *slog.Logger
}

// RefusedError is a fault that this node cannot do. Nothing was changed.
type RefusedError struct{ Why string }

func (e *RefusedError) Error() string { return e.Why }

// ExitCode tells it from a fault that failed; see fault.CodeRefused.
func (e *RefusedError) ExitCode() int { return fault.CodeRefused }

func refuse(format string, args ...any) error {
	return &RefusedError{Why: fmt.Sprintf(format, args...)}
}

// kind is how a kind of fault is done and undone.
type kind struct {
	// check refuses what this node cannot do, before anything is changed.
	check func(ctx context.Context, m *Machine, o fault.Order) error
	// apply does it. work, if not nil, goes on in a process of its own until the fault
	// is undone, and calls m.Ready when it has begun.
	apply func(ctx context.Context, m *Machine, o fault.Order) error
	work  func(ctx context.Context, m *Machine, o fault.Order) error
	// undo undoes it, also what was done in part, or undone already.
	undo func(ctx context.Context, m *Machine, o fault.Order) error
}

// kinds are those that happen inside a node.
var kinds = map[fault.Kind]kind{
	fault.Partition:   {check: checkPartition, apply: cutOff, undo: reunite},
	fault.Latency:     {check: checkLatency, apply: lateBy, work: keepBack, undo: onTime},
	fault.Loss:        {check: checkLoss, apply: lose, undo: loseNoMore},
	fault.Bandwidth:   {check: checkBandwidth, apply: slow, undo: fast},
	fault.DiskFull:    {check: checkDisk, apply: fillDisk, undo: emptyDisk},
	fault.KillProcess: {check: checkKill, apply: killOnce, work: killAgain, undo: restart},
	fault.CPU:         {work: burn},
	fault.Memory:      {check: checkMemory, work: fill},
}

func kindOf(o fault.Order) (kind, error) {
	k, ok := kinds[o.Kind]
	if !ok {
		return k, refuse("this node does not know faults of kind %q", o.Kind)
	}
	return k, nil
}

// Check refuses a fault that this node cannot do, and one that it has already.
func (m *Machine) Check(ctx context.Context, o fault.Order) error {
	k, err := kindOf(o)
	if err != nil {
		return err
	}
	if err := o.Check(); err != nil {
		return err
	}
	have, err := m.List()
	if err != nil {
		return err
	}
	for _, other := range have {
		if other.Kind == o.Kind {
			return refuse("it has a fault of this kind already, %s, until %s", other.ID, other.Until.Local().Format(time.TimeOnly))
		}
	}
	if k.check == nil {
		return nil
	}
	return k.check(ctx, m, o)
}

// Start arms the undo of a fault, then does it. If that fails it is undone at once.
func (m *Machine) Start(ctx context.Context, o fault.Order) error {
	// Nothing is kept of what is over at once, and the load balancer has no room for it.
	if !o.Lasts() {
		return m.once(ctx, o)
	}
	return m.locked(func() error {
		if err := m.Check(ctx, o); err != nil {
			return err
		}
		k, err := kindOf(o)
		if err != nil {
			return err
		}
		for _, step := range []func() error{
			func() error { return m.record(o) },
			func() error { return m.arm(ctx, o) },
			func() error { return m.do(ctx, k, o) },
		} {
			if err := step(); err != nil {
				return errors.Join(err, m.undo(context.WithoutCancel(ctx), o))
			}
		}
		return nil
	})
}

// once does a fault of which nothing is to be undone.
func (m *Machine) once(ctx context.Context, o fault.Order) error {
	if err := m.Check(ctx, o); err != nil {
		return err
	}
	k, err := kindOf(o)
	if err != nil {
		return err
	}
	return k.apply(ctx, m, o)
}

// do does a fault whose undo is armed.
func (m *Machine) do(ctx context.Context, k kind, o fault.Order) error {
	if k.apply != nil {
		if err := k.apply(ctx, m, o); err != nil {
			return err
		}
	}
	if k.work != nil {
		return m.startWork(ctx, o)
	}
	return nil
}

// Undo undoes a fault. One that is not there was undone already.
func (m *Machine) Undo(ctx context.Context, id string) error {
	if err := fault.CheckID(id); err != nil {
		return err
	}
	return m.locked(func() error {
		o, found, err := m.read(id)
		if err != nil || !found {
			return err
		}
		return m.undo(ctx, o)
	})
}

// undo leaves the timer and the record until nothing of the fault is left, so that what
// fails is tried again.
func (m *Machine) undo(ctx context.Context, o fault.Order) error {
	k, err := kindOf(o)
	if err != nil {
		return err
	}
	if k.work != nil {
		if err := m.endWork(ctx, o); err != nil {
			return err
		}
	}
	if k.undo != nil {
		if err := k.undo(ctx, m, o); err != nil {
			return err
		}
	}
	m.disarm(ctx, o)
	return m.forget(o.ID)
}

// Work is what a process does that startWork has started; it ends with the fault,
// whoever else does not.
func (m *Machine) Work(ctx context.Context, id string) error {
	if err := fault.CheckID(id); err != nil {
		return err
	}
	o, found, err := m.read(id)
	if err != nil || !found {
		return err
	}
	k, err := kindOf(o)
	if err != nil || k.work == nil {
		return err
	}
	ctx, cancel := context.WithDeadline(ctx, o.Until)
	defer cancel()
	return k.work(ctx, m, o)
}

// seconds are what is left of a fault, as systemd takes them.
func seconds(o fault.Order) string {
	left := max(0, time.Until(o.Until))
	return fmt.Sprintf("%dms", int64(math.Ceil(float64(left)/float64(time.Millisecond))))
}
