package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/kluster-project/kluster/internal/failure"
)

// Interruptible gives a context that the first interruption (Ctrl-C, SIGTERM,
// SIGHUP) ends, with failure.ErrInterrupted as its cause, so that work cleans
// up after itself. The second calls exit with 130 at once. stop ends the watch.
func Interruptible(parent context.Context, w io.Writer, exit func(code int)) (ctx context.Context, stop func()) {
	last := &lastCall{kill: make(chan struct{})}
	ctx, cancel := context.WithCancelCause(context.WithValue(parent, lastCallKey{}, last))
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	done := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() { onSignals(signals, done, w, cancel, func(code int) { last.end(); exit(code) }) })
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		watch.Wait()
		cancel(nil)
	}
}

func onSignals(signals <-chan os.Signal, done <-chan struct{}, w io.Writer, cancel context.CancelCauseFunc, exit func(int)) {
	for first := true; ; first = false {
		select {
		case <-done:
			return
		case <-signals:
			if !first {
				exit(failure.CodeInterrupted)
				return
			}
			_, _ = fmt.Fprintln(w, "\ninterrupted: cleaning up (once more to leave at once)")
			cancel(failure.ErrInterrupted)
		}
	}
}

// lastCall is for what must not outlive the command: programs that it started in
// process groups of their own.
type lastCall struct {
	kill  chan struct{}
	group sync.WaitGroup
}

type lastCallKey struct{}

// lastCallTime is how long an exit waits for them.
const lastCallTime = 5 * time.Second

// end tells everybody, and waits until they are done.
func (l *lastCall) end() {
	close(l.kill)
	done := make(chan struct{})
	go func() { l.group.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(lastCallTime):
	}
}

// killed gives a channel that the second interruption closes; the command's exit
// then waits for done. Without a watch for signals it is never closed.
func killed(ctx context.Context) (kill <-chan struct{}, done func()) {
	l, ok := ctx.Value(lastCallKey{}).(*lastCall)
	if !ok {
		return nil, func() {}
	}
	l.group.Add(1)
	return l.kill, sync.OnceFunc(l.group.Done)
}
