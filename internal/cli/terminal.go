package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/term"

	"github.com/kluster-project/kluster/provider"
)

// attachTerminal gives command the user's terminal: raw, with its size and
// later changes of it. restore must be called when the command has ended.
func (a *app) attachTerminal(ctx context.Context, command *provider.Command) (restore func(), err error) {
	in, ok := a.streams.In.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return nil, badInput("-t: standard input is not a terminal")
	}
	fd := int(in.Fd())
	columns, rows, err := term.GetSize(fd)
	if err != nil {
		return nil, fmt.Errorf("asking for the terminal's size: %w", err)
	}
	state, err := term.MakeRaw(fd)
	if err != nil {
		return nil, fmt.Errorf("setting up the terminal: %w", err)
	}
	sizes, stop := watchSize(ctx, fd)
	command.TTY, command.Cols, command.Rows, command.Resize = true, uint(columns), uint(rows), sizes
	return func() {
		stop()
		_ = term.Restore(fd, state) // nothing more can be done for a terminal that is gone
	}, nil
}

// printsToTerminal says whether a person sees what is printed.
func (a *app) printsToTerminal() bool {
	out, ok := a.streams.Out.(*os.File)
	return ok && term.IsTerminal(int(out.Fd()))
}

// watchSize gives the terminal's new sizes, as columns and rows, until stop.
func watchSize(ctx context.Context, fd int) (sizes <-chan [2]uint, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	out := make(chan [2]uint)
	var watch sync.WaitGroup
	watch.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
			columns, rows, err := term.GetSize(fd)
			if err != nil {
				continue
			}
			select {
			case <-ctx.Done():
				return
			case out <- [2]uint{uint(columns), uint(rows)}:
			}
		}
	})
	return out, func() {
		signal.Stop(changed)
		cancel()
		watch.Wait()
	}
}
