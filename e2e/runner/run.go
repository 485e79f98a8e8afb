package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/internal/failure"
)

// IncompleteError is a run in which not every planned spec ended, or that failed
// beside its specs.
type IncompleteError struct {
	Ran, Planned int
	Cause        error // what ended it
}

// Error says how many specs ran.
func (e *IncompleteError) Error() string {
	return fmt.Sprintf("%d of %d specs ran: %v", e.Ran, e.Planned, e.Cause)
}

// Unwrap gives what ended the run.
func (e *IncompleteError) Unwrap() error { return e.Cause }

// Run runs a suite. The end of ctx interrupts it, so that its specs clean up.
//
// There is a report whenever the suite was started, also beside an error. Specs
// that failed are no error: the report tells of them.
func Run(ctx context.Context, o Options) (*report.Report, error) {
	o, err := o.filled()
	if err != nil {
		return nil, err
	}
	if o.Bound != nil {
		bounded, free := o.Bound(ctx)
		defer free()
		ctx = bounded
	}
	if o.Plan == nil && !o.Resume {
		plan, err := MakePlan(ctx, o.Program, o.Filter)
		if err != nil {
			return nil, err
		}
		o.Plan = &plan
	}
	if o.Plan != nil && len(o.Plan.Specs) == 0 {
		return nil, failure.New("no spec of the suite matches", failure.Exit(failure.CodeUsage),
			failure.Hint("look at what was given as label filter, focus and skip"))
	}
	j, err := o.open()
	if err != nil {
		return nil, err
	}
	defer j.close()
	r := &run{Options: o, journal: j}
	r.beside = r.newBeside(ctx)
	err = r.all(ctx)
	err = errors.Join(err, r.beside.end())
	if len(j.history()) == 0 {
		return nil, err
	}
	rep := j.history().report()
	return rep, incomplete(rep, err)
}

// open opens the journal.
func (o Options) open() (*journal, error) {
	if o.Plan != nil {
		if err := os.MkdirAll(o.Dir, 0o755); err != nil {
			return nil, fmt.Errorf("making the report's folder: %w", err)
		}
	}
	j, err := openJournal(o.Dir, opening{begin: o.Plan != nil, resume: o.Resume})
	switch {
	case o.Resume && errors.Is(err, os.ErrNotExist):
		return nil, failure.New(fmt.Sprintf("the folder %s holds no run to take up", o.Dir), failure.Exit(failure.CodeUsage),
			failure.Hint("name the folder of one, or begin a new one"))
	case errors.Is(err, os.ErrExist):
		return nil, failure.New(fmt.Sprintf("the folder %s already holds a run", o.Dir), failure.Exit(failure.CodeUsage),
			failure.Hint("resume it, or name another folder"))
	}
	return j, err
}

// incomplete is nil for a run that was brought to its end.
func incomplete(r *report.Report, cause error) error {
	e := &IncompleteError{Planned: len(r.Specs), Cause: cause}
	for _, s := range r.Specs {
		if s.State != report.Missing {
			e.Ran++
		}
	}
	if e.Ran < e.Planned && cause == nil {
		e.Cause = fmt.Errorf("the suite ended before they had all run; see %s", LogFile)
	}
	if e.Cause == nil {
		return nil
	}
	return e
}

// run is a run under way.
type run struct {
	Options
	journal *journal
	beside  *beside
	guard   *guard      // of the round
	killed  atomic.Bool // the suite's processes are made to end
	heard   atomic.Bool // the suite tells what happens
	// followed are specs whose end the Watch heard of from the suite's log.
	followed map[string]bool
}

// all runs what is to run, then what failed of it.
func (r *run) all(ctx context.Context) error {
	todo, exact := r.Plan, r.Exact
	if len(r.journal.history()) > 0 {
		part := r.unfinished()
		todo, exact = &part, true
	}
	if len(todo.Specs) > 0 {
		if err := r.round(ctx, round{Plan: *todo, exact: exact, procs: todo.useful(r.Procs)}); err != nil {
			return err
		}
	}
	for n := 1; n <= r.RerunFailed; n++ {
		failed := r.inState(report.Failed)
		if len(failed.Specs) == 0 {
			break
		}
		if err := r.round(ctx, round{Plan: failed, exact: true, procs: 1, number: n}); err != nil {
			return fmt.Errorf("running failed specs again: %w", err)
		}
	}
	return nil
}

// unfinished is what is left of the plan of the journal.
func (r *run) unfinished() Plan { return r.inState(report.Missing) }

// inState is the part of the plan with specs in this state, so far.
func (r *run) inState(state report.State) Plan {
	h := r.journal.history()
	var names []string
	for _, s := range h.report().Specs {
		if s.State == state {
			names = append(names, s.Name)
		}
	}
	return h.plan().named(names)
}

// write adds to the journal.
func (r *run) write(e entry) error {
	e.Cluster = r.Cluster
	return r.journal.add(e)
}

// tempDir makes a folder for a socket, whose path may have 107 bytes.
func tempDir() (string, error) {
	const most = 107 - len("/socket")
	dir, err := os.MkdirTemp("", "kluster-e2e-")
	if err == nil && len(dir) > most {
		os.RemoveAll(dir)
		dir, err = os.MkdirTemp("/tmp", "kluster-e2e-")
	}
	if err != nil {
		return "", fmt.Errorf("making a temporary folder: %w", err)
	}
	return filepath.Clean(dir), nil
}
