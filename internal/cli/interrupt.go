package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/kluster-project/kluster/internal/failure"
)

// Interruptible gives a context that the first interruption (Ctrl-C, SIGTERM,
// SIGHUP) ends, with failure.ErrInterrupted as its cause, so that work cleans
// up after itself. The second calls exit with 130 at once. stop ends the watch.
func Interruptible(parent context.Context, w io.Writer, exit func(code int)) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	done := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() { onSignals(signals, done, w, cancel, exit) })
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
