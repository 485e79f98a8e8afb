package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/kluster-project/kluster/e2e/event"
	"github.com/kluster-project/kluster/internal/failure"
)

// round is one start of the suite's program.
type round struct {
	Plan
	exact  bool // pick the plan's specs by name
	procs  int
	number int
}

// round runs the program once. An error is why it ended before its time.
func (r *run) round(ctx context.Context, what round) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if !time.Now().Before(r.Deadline) {
		return errOutOfTime
	}
	dir, err := tempDir()
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	cmd, err := r.command(dir, what)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(r.Dir, LogFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("opening the suite's log: %w", err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	size, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("opening the suite's log: %w", err)
	}
	if err := r.begin(what); err != nil {
		return err
	}
	err = r.execute(ctx, cmd, dir, what, r.followLog(what, size))
	over := entry{Event: event.Event{Kind: kindOver}}
	if err != nil {
		over.Message = err.Error()
	}
	return errors.Join(err, r.write(over))
}

// begin tells what is about to run.
func (r *run) begin(what round) error {
	b := &begin{
		Suite: r.Suite, Round: what.number, Procs: what.procs, Seed: r.Seed, Filter: r.Filter,
		Clusters: r.Clusters, Parts: r.Parts,
	}
	if len(r.journal.history()) == 0 {
		b.Plan = r.Plan
	}
	r.Watch.Begin(Begin{Cluster: r.Cluster, Round: what.number, Procs: what.procs, Specs: what.Specs})
	if err := r.write(entry{Event: event.Event{Kind: kindBegin}, Begin: b}); err != nil {
		return err
	}
	r.beside.begin()
	return nil
}

// execute runs the program and listens to it. unfollow ends the following of its
// log.
func (r *run) execute(ctx context.Context, cmd *exec.Cmd, dir string, what round, unfollow func()) error {
	defer unfollow()
	var err error
	if r.guard, err = newGuard(r.Grace, r.Lock); err != nil {
		return err
	}
	defer r.guard.end()
	listener, err := r.listen(ctx, filepath.Join(dir, "socket"))
	if err != nil {
		return err
	}
	from := len(r.journal.history())
	if err := r.guard.start(cmd); err != nil {
		return errors.Join(fmt.Errorf("starting the suite: %w", err), listener.close())
	}
	exit, ended := r.wait(ctx, cmd)
	r.guard.signal(syscall.SIGKILL)
	streamErr := listener.close()
	unfollow()
	reportErr := r.fill(filepath.Join(dir, "report.json"), from)
	switch {
	case ended == nil:
		ended = r.explain(exit, reportErr, from)
	case r.allEnded(what.Plan, from):
		ended = nil // it was told to end when it was about to
	}
	return errors.Join(ended, streamErr)
}

// allEnded says whether all specs of the plan have ended since a place in the
// journal.
func (r *run) allEnded(p Plan, from int) bool {
	ended := map[string]bool{}
	for _, e := range r.journal.history()[from:] {
		if e.Kind == event.End && e.State != "interrupted" {
			ended[e.Spec] = true
		}
	}
	for _, s := range p.Specs {
		if !ended[s.Name] {
			return false
		}
	}
	return true
}

// explain gives the reason of a program's end, nil if nothing was wrong but
// specs that failed. from is where the program's part of the journal begins.
func (r *run) explain(exit, reportErr error, from int) error {
	deaths, failed := 0, false
	for _, e := range r.journal.history()[from:] {
		failed = failed || e.Kind == event.End && Failed(e.State)
		if e.Kind == kindIncident && e.Proc > 0 {
			deaths++
		}
	}
	switch {
	case deaths > 0:
		return fmt.Errorf("%d of the suite's processes died; see %s", deaths, LogFile)
	case errors.Is(reportErr, errNoReport):
		return failure.With(fmt.Errorf("the suite's program ended without a report (%s); see %s", exitText(exit), LogFile),
			failure.Output(r.lastOutput()))
	case reportErr != nil:
		return reportErr
	case exit != nil && !failed:
		return fmt.Errorf("the suite's program ended with %s though no spec failed; see %s", exitText(exit), LogFile)
	default:
		return nil
	}
}

func exitText(exit error) string {
	if exit == nil {
		return "exit status 0"
	}
	return exit.Error()
}

// lastOutput is the end of the suite's log.
func (r *run) lastOutput() string {
	const most = 2 << 10
	file, err := os.Open(filepath.Join(r.Dir, LogFile))
	if err != nil {
		return ""
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.Size() > most {
		_, _ = file.Seek(-most, io.SeekEnd)
	}
	text, _ := io.ReadAll(file)
	return strings.ToValidUTF8(string(text), "")
}
