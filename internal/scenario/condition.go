package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kluster-project/kluster/internal/status"
	"github.com/kluster-project/kluster/internal/wait"
)

// until asks again and again until a condition holds, at least once.
func (r *run) until(ctx context.Context, c Condition, limit time.Duration, shown status.Step) error {
	end := time.Now().Add(limit)
	for {
		err := r.holds(ctx, c, time.Until(end))
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		shown.Detail(firstLine(err))
		if time.Now().Add(r.timing.Poll).After(end) {
			if limit == 0 {
				return err
			}
			return fmt.Errorf("not within %v: %w", limit, err)
		}
		if !wait.For(ctx, r.timing.Poll) {
			return context.Cause(ctx)
		}
	}
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// goesOn sees that a condition, which held, holds for a time. Whatever took a while to hold
// may take as long again.
func (r *run) goesOn(ctx context.Context, c Condition, within, during time.Duration) error {
	for began := time.Now(); time.Since(began) < during; {
		if !wait.For(ctx, r.timing.Poll) {
			return context.Cause(ctx)
		}
		if err := r.holds(ctx, c, within); err != nil {
			return fmt.Errorf("no more after %v: %w", time.Since(began).Round(time.Millisecond), err)
		}
	}
	return nil
}

// holds is nil, or says what does not hold. A command, which may wait itself, has as long as
// its step still has, if that is longer than others are asked.
func (r *run) holds(ctx context.Context, c Condition, left time.Duration) error {
	most := r.timing.Ask
	if c.Command != nil {
		most = max(most, left)
	}
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	switch {
	case c.Ready != nil:
		return r.ready(ctx, c.Ready, true)
	case c.NotReady != nil:
		return r.ready(ctx, c.NotReady, false)
	case c.Answers != nil:
		return r.each(ctx, c.Answers, r.cluster.Answers)
	case c.Silent != nil:
		return r.each(ctx, c.Silent, fails("answers", r.cluster.Answers))
	case c.Writes != nil:
		return r.each(ctx, c.Writes, r.write)
	case c.Refuses != nil:
		return r.each(ctx, c.Refuses, fails("acknowledges writes", r.write))
	case c.Pods != nil:
		return r.cluster.PodsReady(ctx, *c.Pods)
	case c.Undone:
		return r.undone(ctx)
	}
	return r.command(ctx, *c.Command)
}

// ready sees that nodes are all Ready, or that none is.
func (r *run) ready(ctx context.Context, selectors []string, want bool) error {
	machines, err := r.find(ctx, selectors)
	if err != nil {
		return err
	}
	unready, err := r.cluster.Unready(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, m := range machines {
		switch why, is := unready[m.Name]; {
		case is && want:
			errs = append(errs, fmt.Errorf("%s is not Ready: %s", m.Name, why))
		case !is && !want:
			errs = append(errs, fmt.Errorf("%s is Ready", m.Name))
		}
	}
	return errors.Join(errs...)
}

// each asks all machines at the same time.
func (r *run) each(ctx context.Context, selectors []string, ask func(context.Context, Machine) error) error {
	machines, err := r.find(ctx, selectors)
	if err != nil {
		return err
	}
	errs := make([]error, len(machines))
	var all sync.WaitGroup
	for i, m := range machines {
		all.Go(func() {
			if err := ask(ctx, m); err != nil {
				errs[i] = fmt.Errorf("the API by way of %s: %w", m.Name, err)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// fails turns an answer round.
func fails(does string, ask func(context.Context, Machine) error) func(context.Context, Machine) error {
	return func(ctx context.Context, m Machine) error {
		if ask(ctx, m) == nil {
			return errors.New("it " + does)
		}
		return nil
	}
}

func (r *run) write(ctx context.Context, m Machine) error {
	r.mu.Lock()
	r.wrote = true
	r.mu.Unlock()
	return r.cluster.Write(ctx, m)
}

// undone sees that no fault of the scenario is there any more.
func (r *run) undone(ctx context.Context) error {
	have, err := r.cluster.Faults(ctx)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for _, f := range have {
		if slices.Contains(r.begun, f.ID) {
			errs = append(errs, fmt.Errorf("%s lasts until %s", f, f.Until.Local().Format(time.TimeOnly)))
		}
	}
	return errors.Join(errs...)
}

func (r *run) command(ctx context.Context, c Command) error {
	code, output, err := r.cluster.Command(ctx, c.Args)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%s did not end: %s", c.Args[0], strings.TrimSpace(output))
	}
	if err == nil && code != c.ExitCode {
		err = fmt.Errorf("%s ended with code %d, not %d: %s", c.Args[0], code, c.ExitCode, strings.TrimSpace(output))
	}
	return err
}
