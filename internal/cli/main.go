// Package cli is the kluster command: its tree of verbs, one file each, what
// they print, and the exit codes.
//
// Results go to standard output and all talk to standard error. Main returns
// 0 when all went well, 1 when kluster failed, 2 for bad flags or
// configuration, 3 when specs ran and failed, 4 when the host is not fit and 130
// after an interruption; exec and kubectl pass on the code of the command they ran.
package cli

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/kluster-project/kluster/internal/failure"
)

// Streams are the standard streams of the command.
type Streams struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer
}

// StdStreams are those of the process.
func StdStreams() Streams { return Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr} }

// Main runs the command with args, which do not hold the program's name, and
// gives its exit code. When ctx ends with failure.ErrInterrupted as its cause,
// the code is that of an interruption.
func Main(ctx context.Context, args []string, streams Streams, deps Deps) int {
	a := newApp(streams, deps)
	root := newRootCmd(a)
	root.SetArgs(args)
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.Err)
	err := root.ExecuteContext(ctx)
	a.close()
	return a.conclude(ctx, err)
}

// conclude prints err, once, and gives its exit code.
func (a *app) conclude(ctx context.Context, err error) int {
	if err == nil {
		return failure.CodeOK
	}
	if errors.Is(context.Cause(ctx), failure.ErrInterrupted) {
		err = failure.With(err, failure.Exit(failure.CodeInterrupted))
	}
	if code, ok := errors.AsType[exitStatus](err); ok {
		return int(code)
	}
	err = explain(err)
	failure.Print(a.streams.Err, err)
	return failure.Code(err)
}

// exitStatus is the code of a command that was run for the user and has told
// its own story already.
type exitStatus int

func (exitStatus) Error() string { return "the command failed" }
