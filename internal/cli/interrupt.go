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
	watch.Go(func() { onSignals(signals, done, w, last, cancel, func(code int) { last.end(); exit(code) }) })
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		watch.Wait()
		cancel(nil)
	}
}

func onSignals(signals <-chan os.Signal, done <-chan struct{}, w io.Writer, last *lastCall, cancel context.CancelCauseFunc, exit func(int)) {
	for first := true; ; first = false {
		select {
		case <-done:
			return
		case <-signals:
			if !first {
				exit(failure.CodeInterrupted)
				return
			}
			last.tell(w, "interrupted: cleaning up (once more to leave at once)")
			cancel(failure.ErrInterrupted)
		}
	}
}

// lastCall is for what must not outlive the command: programs that it started in
// process groups of their own. What there is to say of it is said by the live display
// there is.
type lastCall struct {
	kill  chan struct{}
	group sync.WaitGroup

	mu  sync.Mutex
	say func(text string) // nil without a live display
}

// tell says a line above what is drawn live, or on w.
func (l *lastCall) tell(w io.Writer, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.say != nil {
		l.say(text)
		return
	}
	_, _ = fmt.Fprintln(w, "\n"+text) // after the terminal's own ^C
}

// sayThrough has interruptions told by a display until unsay, which must come before
// the display's end.
func sayThrough(ctx context.Context, say func(string)) (unsay func()) {
	l, ok := ctx.Value(lastCallKey{}).(*lastCall)
	if !ok {
		return func() {}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.say
	l.say = say
	return sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.say = before
	})
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
