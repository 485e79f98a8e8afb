package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kluster-project/kluster/internal/status"
)

// changeStep is one part of a change of a cluster's nodes, and what takes it back. A step
// that failed may have done a part, so it is taken back too.
type changeStep[T any] struct {
	Name, Why string
	run       func(T, context.Context, status.Step) error
	undo      func(T, context.Context) error
}

// silentChange is a step that has nothing to tell while it runs.
func silentChange[T any](run func(T, context.Context) error) func(T, context.Context, status.Step) error {
	return func(c T, ctx context.Context, _ status.Step) error { return run(c, ctx) }
}

// change is a plan under way.
type change[T any] struct {
	of    T
	whole status.Step
	// onStep, if not nil, hears each step's name before it runs.
	onStep func(ctx context.Context, name string)
	// final names the step after which there is no way back; "" for none. From it on an
	// interruption is not heard.
	final string
}

// run does the steps one after the other. When one fails, those that were done are taken
// back, unless the final one was.
func (c *change[T]) run(ctx context.Context, plan []changeStep[T]) error {
	last := slices.IndexFunc(plan, func(s changeStep[T]) bool { return s.Name == c.final })
	for i, s := range plan {
		now, cancel := ctx, context.CancelFunc(func() {})
		if last >= 0 && i > last {
			now, cancel = context.WithTimeout(context.WithoutCancel(ctx), changeBackTime)
		}
		err := c.runStep(now, s)
		cancel()
		switch {
		case err == nil || errors.Is(err, status.ErrSkipped):
			continue
		case last >= 0 && i > last:
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		return c.takeBack(ctx, plan[:i+1], fmt.Errorf("%s: %w", s.Name, err))
	}
	return nil
}

func (c *change[T]) runStep(ctx context.Context, s changeStep[T]) error {
	if c.onStep != nil {
		c.onStep(ctx, s.Name)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	part := c.whole.Step(s.Name, 0)
	err := s.run(c.of, ctx, part)
	if err != nil && ctx.Err() != nil {
		err = causeOf(ctx, err)
	}
	part.End(err)
	return err
}

// changeBackTime bounds the way back, which has a context of its own, since the change's
// may have ended.
const changeBackTime = 3 * time.Minute

// takeBack undoes steps, the last one first.
func (c *change[T]) takeBack(ctx context.Context, steps []changeStep[T], err error) error {
	if !slices.ContainsFunc(steps, func(s changeStep[T]) bool { return s.undo != nil }) {
		return fmt.Errorf("%w; nothing was changed", err)
	}
	back, cancel := context.WithTimeout(context.WithoutCancel(ctx), changeBackTime)
	defer cancel()
	part := c.whole.Step("the way back", 0)
	var failed []error
	for _, s := range slices.Backward(steps) {
		if s.undo == nil {
			continue
		}
		if e := s.undo(c.of, back); e != nil {
			failed = append(failed, fmt.Errorf("taking back %q: %w", s.Name, e))
		}
	}
	problem := errors.Join(failed...)
	part.End(problem)
	if problem == nil {
		return fmt.Errorf("%w; the cluster is as it was", err)
	}
	return errors.Join(err, problem)
}
