package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/kluster-project/kluster/internal/trace"
)

// traced runs create with a recorder in its context. When it ends, well or not,
// the trace goes to file and its summary to stderr. Without a file it only runs
// create.
func (a *app) traced(ctx context.Context, file string, create func(context.Context) error) error {
	if file == "" {
		return create(ctx)
	}
	f, err := openTrace(file)
	if err != nil {
		return err
	}
	defer f.Close()
	r := trace.New()
	stop := r.SampleCPU(ctx)
	cerr := create(trace.NewContext(ctx, r))
	r.Finish()
	stop()
	a.close()
	if !a.quiet {
		fmt.Fprint(a.streams.Err, r.Summary())
	}
	if err := writeTrace(f, r); err != nil {
		return errors.Join(cerr, err)
	}
	return cerr
}

// openTrace opens the file before anything is made, and leaves what it holds
// until there is something to put in its place.
func openTrace(file string) (*os.File, error) {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return nil, badInput("--trace: %w", err)
	}
	return f, nil
}

func writeTrace(f *os.File, r *trace.Recorder) error {
	// A pipe or a terminal has nothing to be emptied of.
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		if err := f.Truncate(0); err != nil {
			return fmt.Errorf("emptying the trace: %w", err)
		}
	}
	if err := r.Write(f); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("writing the trace: %w", err)
	}
	return nil
}

// stepOf is a step of the command itself, in a trace.
func stepOf(ctx context.Context, name string) trace.Open {
	return trace.Start(ctx, trace.Step, "command", name)
}
