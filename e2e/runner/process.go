package runner

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

var (
	// errKilled is why a run ended that was told to end at once.
	errKilled = errors.New("killed")
	// errOutOfTime is why a run ended at its deadline.
	errOutOfTime = errors.New("the time for the run is over")
)

// wait waits for the program, and ends it when it is told to: exit is how the
// program ended, ended why it was made to. Whatever is left of its process group
// is killed.
func (r *run) wait(ctx context.Context, cmd *exec.Cmd) (exit, ended error) {
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	kill := func(cause error) (error, error) {
		r.killed.Store(true)
		r.guard.signal(syscall.SIGKILL)
		return <-done, cause
	}
	// Ginkgo ends a suite at its deadline by itself, as a rule.
	overdue := time.NewTimer(time.Until(r.Deadline) + r.Grace)
	defer overdue.Stop()
	select {
	case exit := <-done:
		return exit, nil
	case <-r.Kill:
		return kill(errKilled)
	case <-overdue.C:
		return kill(fmt.Errorf("%w, then killed: it had not ended after %s", errOutOfTime, r.Grace))
	case <-ctx.Done():
	}
	cause := context.Cause(ctx)
	r.guard.signal(syscall.SIGINT)
	grace := time.NewTimer(r.Grace)
	defer grace.Stop()
	select {
	case exit := <-done:
		return exit, cause
	case <-r.Kill:
		return kill(fmt.Errorf("%w, then killed", cause))
	case <-grace.C:
		return kill(fmt.Errorf("%w, then killed: it had not ended after %s", cause, r.Grace))
	}
}

// outputDelay is how long the output of a program that was killed may be held open
// by what it had started.
const outputDelay = 5 * time.Second

// Together has all that a command starts end with it when its context ends.
func Together(cmd *exec.Cmd) *exec.Cmd {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = outputDelay
	return cmd
}
