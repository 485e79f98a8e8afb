package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/kluster-project/kluster/internal/cluster"
	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/wait"
)

// topOptions are the flags of "top".
type topOptions struct {
	cluster     string
	once, watch bool
	every       time.Duration
	output      choice
}

const topLong = `Shows what the machines of a cluster use: processors, memory (the working set)
and pods, and how they are. On a terminal it goes on until q or Ctrl-C; else, or
with --once, it is one table. A machine that is down and an API that does not
answer are shown as such.

With -o json it is one document, and with --watch one on each line.`

func newTopCmd(a *app, runs ...func(context.Context, *app, *topOptions) error) *cobra.Command {
	opts, run := &topOptions{}, runTop
	if len(runs) > 0 {
		run = runs[0]
	}
	cmd := &cobra.Command{
		Use:     "top",
		Short:   "Show what the nodes of a cluster use, live",
		Long:    topLong,
		Example: "  kluster top\n  kluster top --once --cluster ci\n  kluster top -o json --watch --every 5s",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case opts.once && opts.watch:
				return usageError(cmd, "--once and --watch exclude each other")
			case opts.every < shortestLook:
				return usageError(cmd, "--every %v: must be at least %v", opts.every, shortestLook)
			}
			return run(cmd.Context(), a, opts)
		},
	}
	a.addCluster(cmd, &opts.cluster)
	cmd.Flags().BoolVar(&opts.once, "once", false, "one table, also on a terminal")
	cmd.Flags().BoolVarP(&opts.watch, "watch", "w", false, "go on until Ctrl-C, also where there is no terminal")
	cmd.Flags().DurationVar(&opts.every, "every", 2*time.Second, "`TIME` between two looks")
	addChoice(cmd, &opts.output, "output", "o", "how to print", formatTable, formatJSON)
	return cmd
}

// shortestLook spares the engine: a look takes it some milliseconds for each machine.
const shortestLook = 500 * time.Millisecond

func runTop(ctx context.Context, a *app, opts *topOptions) error {
	clusters, name, err := a.existing(ctx, opts.cluster)
	if err != nil {
		return err
	}
	looker, err := clusters.Top(ctx, name)
	if err != nil {
		return err
	}
	a.close() // from here on the screen is top's
	// Ctrl-C is how a view ends: there is nothing to say of it.
	defer a.sayThrough(func(string) {})()
	live := opts.output.value == formatTable && !opts.once && a.printsToTerminal()
	switch {
	case live:
		return a.topLive(ctx, looker, opts.every)
	case opts.watch:
		return a.topWatch(ctx, looker, opts)
	}
	use, err := lookTwice(ctx, looker)
	if err != nil {
		return err
	}
	if opts.output.value == formatJSON {
		return printJSON(a.streams.Out, use)
	}
	_, err = fmt.Fprintln(a.streams.Out, strings.Join(topLines(use), "\n"))
	return err
}

// lookTwice looks twice, for it takes two to tell how busy processors are.
func lookTwice(ctx context.Context, looker cluster.Looker) (*cluster.Use, error) {
	if _, err := looker.Look(ctx); err != nil {
		return nil, err
	}
	if !wait.For(ctx, cluster.FirstLook) {
		return nil, context.Cause(ctx)
	}
	return looker.Look(ctx)
}

// topWatch prints again and again, until it is interrupted.
func (a *app) topWatch(ctx context.Context, looker cluster.Looker, opts *topOptions) error {
	use, err := lookTwice(ctx, looker)
	for {
		if errors.Is(context.Cause(ctx), failure.ErrInterrupted) {
			return exitStatus(failure.CodeInterrupted) // that is how it ends
		}
		if err != nil {
			return err
		}
		if opts.output.value == formatJSON {
			err = json.NewEncoder(a.streams.Out).Encode(use)
		} else {
			_, err = fmt.Fprintln(a.streams.Out, strings.Join(topLines(use), "\n")+"\n")
		}
		if err != nil {
			return fmt.Errorf("printing the result: %w", err)
		}
		wait.For(ctx, opts.every)
		use, err = looker.Look(ctx)
	}
}

// topLive draws on the terminal until somebody ends it.
func (a *app) topLive(ctx context.Context, looker cluster.Looker, every time.Duration) error {
	out, ok := a.streams.Out.(*os.File)
	if !ok {
		return errors.New("the output is no terminal")
	}
	quit, restore := a.keys()
	defer restore()
	page := &fullScreen{out: out}
	defer page.close()
	next := cluster.FirstLook // the first look tells nothing of processors
	for {
		use, err := looker.Look(ctx)
		var gone *cluster.NotFoundError
		switch {
		case errors.Is(context.Cause(ctx), failure.ErrInterrupted):
			return exitStatus(failure.CodeInterrupted)
		case errors.As(err, &gone):
			return err
		case err != nil:
			page.draw([]string{"the engine tells nothing: " + err.Error()})
		default:
			page.draw(append(topLines(use), "", "q ends"))
		}
		select {
		case <-quit:
			return nil
		case <-ctx.Done():
			return exitStatus(failure.CodeInterrupted)
		case <-time.After(next):
		}
		next = every
	}
}

// keys tells when a key was pressed that ends a view. They come one by one, and are not
// shown, until restore.
func (a *app) keys() (quit <-chan struct{}, restore func()) {
	in, ok := a.streams.In.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return nil, func() {}
	}
	state, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, func() {} // Ctrl-C ends it all the same
	}
	pressed := make(chan struct{})
	go func() { // ends with the process
		defer close(pressed)
		key := make([]byte, 1)
		for {
			n, err := in.Read(key)
			if err != nil || n == 1 && strings.ContainsRune("qQ\x03\x04", rune(key[0])) {
				return
			}
		}
	}()
	return pressed, func() { _ = term.Restore(int(in.Fd()), state) } // nothing can be done for one that is gone
}

// topLines are a cluster's line, and a table of its machines.
func topLines(u *cluster.Use) []string {
	t := table{head: []string{"NODE", "STATE", "CPU", "MEMORY", "PODS", "LIMIT", "ROLE", "RUNTIME", "CONDITIONS"}}
	for _, n := range u.Nodes {
		row := []string{n.Name, topState(n), "-", "-", "-", "-", n.Role, orDash(n.Runtime), orDash(strings.Join(n.Conditions, ","))}
		if n.MemoryLimit > 0 {
			row[2], row[3], row[5] = fmt.Sprintf("%.2f", n.CPU), mebibytes(n.Memory), mebibytes(n.MemoryLimit)
		}
		if n.Pods != nil {
			row[4] = fmt.Sprint(*n.Pods)
		}
		if n.Problem != "" {
			row[8] = n.Problem
		}
		t.rows = append(t.rows, row)
	}
	var text strings.Builder
	_ = t.print(&text) // a Builder takes everything
	lines := []string{fmt.Sprintf("%s: %.2f of %d CPUs, %s of %s, at %s", u.Cluster, u.CPU, u.CPUs,
		mebibytes(u.Memory), mebibytes(u.HostMemory), u.Time.Format(time.TimeOnly))}
	if u.Problem != "" {
		lines = append(lines, u.Problem)
	}
	return append(lines, strings.Split(strings.TrimRight(text.String(), "\n"), "\n")...)
}

// topState is a word for how a machine is.
func topState(n cluster.NodeUse) string {
	switch {
	case n.State != "running", n.Ready == "":
		return n.State
	case n.Ready == "True":
		return "Ready"
	}
	return "NotReady"
}

func mebibytes(n int64) string {
	if n >= 10<<30 {
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	}
	return fmt.Sprintf("%d MiB", n>>20)
}
