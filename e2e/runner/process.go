package runner

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

// errKilled is why a run ended that was told to end at once.
var errKilled = errors.New("killed")

// wait waits for the program, and ends it when it is told to: exit is how the
// program ended, ended why it was made to. Whatever is left of the program's
// process group is killed.
func (r *run) wait(ctx context.Context, cmd *exec.Cmd) (exit, ended error) {
	group := -cmd.Process.Pid
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	defer func() { _ = syscall.Kill(group, syscall.SIGKILL) }()
	kill := func(cause error) (error, error) {
		r.killed.Store(true)
		_ = syscall.Kill(group, syscall.SIGKILL)
		return <-done, cause
	}
	select {
	case exit := <-done:
		return exit, nil
	case <-r.Kill:
		return kill(errKilled)
	case <-ctx.Done():
	}
	cause := context.Cause(ctx)
	_ = syscall.Kill(group, syscall.SIGINT)
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
