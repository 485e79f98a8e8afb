package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/fault"
	"github.com/kluster-project/kluster/internal/status"
	"github.com/kluster-project/kluster/internal/wait"
)

// Cluster is what a scenario happens to.
type Cluster interface {
	Name() string
	Machines(ctx context.Context) ([]Machine, error)
	// Leader names the node whose etcd leads.
	Leader(ctx context.Context) (string, error)
	Fault(ctx context.Context, spec fault.Spec) (*fault.Active, error)
	Faults(ctx context.Context) ([]fault.Active, error)
	// Clear undoes faults; those that are undone already do not matter.
	Clear(ctx context.Context, ids []string) error

	// Unready says of each node of the API that is not Ready why.
	Unready(ctx context.Context) (map[string]string, error)
	// Answers is nil if the API is ready by way of a control plane or the load balancer,
	// Write if it acknowledges a write.
	Answers(ctx context.Context, by Machine) error
	Write(ctx context.Context, by Machine) error
	// PodsReady is nil if there are pods, and all are Ready.
	PodsReady(ctx context.Context, pods Pods) error
	// Command gives the exit code of a command on this machine and the end of what it
	// printed.
	Command(ctx context.Context, args []string) (code int, output string, err error)
	// CleanUp removes what Write left.
	CleanUp(ctx context.Context) error
}

// Timing is how often is asked, and how long for an answer. Commands have their step's own
// limit if that is longer.
type Timing struct {
	Poll, Ask, CleanUp time.Duration
}

// DefaultTiming is for real clusters.
var DefaultTiming = Timing{Poll: 500 * time.Millisecond, Ask: 5 * time.Second, CleanUp: 2 * time.Minute}

// run is a scenario under way.
type run struct {
	cluster Cluster
	timing  Timing

	mu    sync.Mutex
	begun []string            // IDs of faults
	names map[string][]string // of nodes, by Fault.As
	wrote bool
}

// Run runs a scenario and reports on all of its steps, also those that it did not come
// to. The error says why it did not pass.
func Run(ctx context.Context, s *Scenario, c Cluster, t Timing, reporter status.Reporter) (*Report, error) {
	began := time.Now()
	r := &run{cluster: c, timing: t, names: map[string][]string{}}
	report := &Report{Scenario: s.Name, Cluster: c.Name(), Steps: planned(s.Steps)}
	err := r.scenario(ctx, s, report.Steps, reporter)
	clean := &StepReport{Name: "clean up", State: Skipped}
	if r.left() {
		cleanErr := r.cleanUp(context.WithoutCancel(ctx), clean, reporter)
		report.Steps = append(report.Steps, clean)
		err = errors.Join(err, cleanErr)
	}
	report.Passed, report.Seconds = err == nil, seconds(began)
	return report, err
}

func (r *run) scenario(ctx context.Context, s *Scenario, reports []*StepReport, reporter status.Reporter) error {
	limit := DefaultTimeout
	if s.Timeout != "" {
		limit = duration(s.Timeout)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("scenario %s did not end within %v", s.Name, limit))
	defer cancel()
	machines, err := r.cluster.Machines(ctx)
	if err != nil {
		return err
	}
	if err := s.Needs.meets(machines); err != nil {
		return failure.With(fmt.Errorf("scenario %s: %w", s.Name, err), failure.Exit(failure.CodeUsage))
	}
	return r.all(ctx, s.Steps, reports, reporter)
}

// all does steps one after the other, up to the first that fails.
func (r *run) all(ctx context.Context, steps []Step, reports []*StepReport, reporter status.Reporter) error {
	for i := range steps {
		if err := r.step(ctx, &steps[i], reports[i], reporter); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) step(ctx context.Context, s *Step, report *StepReport, reporter status.Reporter) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	began := time.Now()
	shown := reporter.Step(report.Name, duration(s.estimate()))
	err := r.do(ctx, s, report, shown)
	if ctx.Err() != nil && err != nil {
		err = context.Cause(ctx)
	}
	if err != nil && s.Parallel == nil {
		err = fmt.Errorf("%s: %w", report.Name, err)
	}
	shown.End(err)
	report.end(began, err)
	return err
}

func (r *run) do(ctx context.Context, s *Step, report *StepReport, shown status.Step) error {
	switch {
	case s.Fault != nil:
		return r.fault(ctx, s.Fault, report)
	case s.Clear:
		return r.clear(ctx)
	case s.Wait != nil && s.Wait.Until == nil:
		if !wait.For(ctx, duration(s.Wait.For)) {
			return context.Cause(ctx)
		}
		return nil
	case s.Wait != nil:
		return r.until(ctx, *s.Wait.Until, orElse(s.Wait.Timeout, DefaultWait), shown)
	case s.Check != nil:
		within := duration(s.Check.Within)
		if err := r.until(ctx, *s.Check.That, within, shown); err != nil {
			return err
		}
		return r.goesOn(ctx, *s.Check.That, within, duration(s.Check.During))
	}
	return r.parallel(ctx, s.Parallel, report.Steps, shown)
}

func orElse(text string, otherwise time.Duration) time.Duration {
	if text == "" {
		return otherwise
	}
	return duration(text)
}

// parallel does steps at the same time. One that fails does not end the others.
func (r *run) parallel(ctx context.Context, steps []Step, reports []*StepReport, reporter status.Reporter) error {
	errs := make([]error, len(steps))
	var all sync.WaitGroup
	for i := range steps {
		all.Go(func() { errs[i] = r.step(ctx, &steps[i], reports[i], reporter) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// fault begins one. The machines are found now.
func (r *run) fault(ctx context.Context, f *Fault, report *StepReport) error {
	machines, err := r.find(ctx, f.Nodes)
	if err != nil {
		return err
	}
	spec := fault.Spec{Kind: fault.Kind(f.Kind), Nodes: names(machines), For: duration(f.For), Params: map[string]string{}}
	for name, value := range f.Params {
		spec.Params[name] = value
	}
	if len(f.From) > 0 {
		from, err := r.find(ctx, f.From)
		if err != nil {
			return err
		}
		from = pick(from, func(m Machine) bool { return !slices.Contains(spec.Nodes, m.Name) })
		if len(from) == 0 {
			return errors.New("there is nothing on the other side")
		}
		spec.Params[fault.ParamFrom] = strings.Join(names(from), ",")
	}
	report.Nodes = spec.Nodes
	active, err := r.cluster.Fault(ctx, spec)
	if err != nil {
		return err
	}
	report.Fault = active.ID
	r.mu.Lock()
	defer r.mu.Unlock()
	if active.Lasts() {
		r.begun = append(r.begun, active.ID)
	}
	if f.As != "" {
		r.names[f.As] = spec.Nodes
	}
	return nil
}

func (r *run) named(name string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.names[name]
}

// clear undoes what was begun.
func (r *run) clear(ctx context.Context) error {
	r.mu.Lock()
	ids := slices.Clone(r.begun)
	r.mu.Unlock()
	if len(ids) == 0 {
		return nil
	}
	if err := r.cluster.Clear(ctx, ids); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun = slices.DeleteFunc(r.begun, func(id string) bool { return slices.Contains(ids, id) })
	return nil
}

// left says whether there is something to clean up.
func (r *run) left() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.begun) > 0 || r.wrote
}

// cleanUp leaves nothing of a scenario, whatever became of it.
func (r *run) cleanUp(ctx context.Context, report *StepReport, reporter status.Reporter) error {
	ctx, cancel := context.WithTimeout(ctx, r.timing.CleanUp)
	defer cancel()
	began := time.Now()
	shown := reporter.Step(report.Name, 0)
	err := r.clear(ctx)
	if r.wrote {
		err = errors.Join(err, r.cluster.CleanUp(ctx))
	}
	if err != nil {
		err = fmt.Errorf("cleaning up: %w", err)
	}
	shown.End(err)
	report.end(began, err)
	return err
}
