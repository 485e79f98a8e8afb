// Package supervise runs a load balancer as the only service of a machine: it
// keeps one program running, passes signals on to it, and reaps what processes
// are left to the first process of a container.
package supervise

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kluster-project/kluster/internal/wait"
)

// Program is what to keep running.
type Program struct {
	Args []string
	// Signals says which of the signals we get are passed on, and as which.
	Signals map[os.Signal]unix.Signal
	// Last are those after whose passing the program shall not be started
	// again when it ends.
	Last map[os.Signal]bool
	// Pause before it is started again.
	Pause time.Duration
	Log   *slog.Logger
}

// Run keeps the program running until it ends after a Last signal, and gives
// its exit code. signals are those the process gets, SIGCHLD among them.
func (p *Program) Run(ctx context.Context, signals <-chan os.Signal) (int, error) {
	for {
		pid, err := p.start()
		if err != nil {
			return 0, err
		}
		code, last := p.wait(ctx, pid, signals)
		if last {
			return code, nil
		}
		p.Log.Warn("program ended; starting it again", "program", p.Args[0], "code", code)
		if !wait.For(ctx, p.Pause) {
			return code, nil
		}
	}
}

func (p *Program) start() (int, error) {
	process, err := os.StartProcess(p.Args[0], p.Args, &os.ProcAttr{
		Env: os.Environ(), Files: []*os.File{nil, os.Stdout, os.Stderr},
	})
	if err != nil {
		return 0, fmt.Errorf("starting %s: %w", p.Args[0], err)
	}
	pid := process.Pid
	// It is reaped below, together with all others.
	return pid, process.Release()
}

// wait passes signals on until pid has ended.
func (p *Program) wait(ctx context.Context, pid int, signals <-chan os.Signal) (code int, last bool) {
	done := ctx.Done()
	for {
		var got os.Signal
		select {
		case got = <-signals:
		case <-done:
			got, done = unix.SIGTERM, nil
		}
		if signal, ok := p.Signals[got]; ok {
			last = last || p.Last[got]
			// The program may have ended already, which is seen below.
			_ = unix.Kill(pid, signal)
		}
		// After every signal, not SIGCHLD alone: signals get lost when many
		// come at once.
		if code, ended := reap(pid); ended {
			return code, last
		}
	}
}

// reap collects every child that has ended and says whether pid was among them.
func reap(pid int) (code int, ended bool) {
	for {
		var status unix.WaitStatus
		got, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil || got <= 0 {
			return code, ended
		}
		if got == pid {
			code, ended = exitCode(status), true
		}
	}
}

// exitCode is as shells give it: 128 and the signal for a killed process.
func exitCode(status unix.WaitStatus) int {
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}
