package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/provider"
)

// explanations are the exit codes and hints of errors that packages below do
// not know to be the user's or the host's.
var explanations = []struct {
	is   error
	code int
	hint string
}{
	{provider.ErrUnavailable, failure.CodeHost, "kluster doctor says what the host lacks"},
	{provider.ErrPortTaken, failure.CodeHost, "stop what listens there, or choose another port"},
	{provider.ErrSubnetTaken, failure.CodeHost, "choose another subnet, or remove networks that nobody needs"},
}

// explain adds the exit code and hint that belong to err.
func explain(err error) error {
	if _, ok := errors.AsType[*config.Invalid](err); ok && failure.Code(err) == failure.CodeFailed {
		return failure.With(err, failure.Exit(failure.CodeUsage))
	}
	for _, e := range explanations {
		if !errors.Is(err, e.is) {
			continue
		}
		opts := []failure.Option{failure.Hint("%s", e.hint)}
		if failure.Code(err) == failure.CodeFailed {
			opts = append(opts, failure.Exit(e.code))
		}
		return failure.With(err, opts...)
	}
	return err
}

// usageError is a mistake in the arguments of cmd.
func usageError(cmd *cobra.Command, format string, args ...any) error {
	return failure.With(fmt.Errorf(format, args...), failure.Exit(failure.CodeUsage),
		failure.Hint("%s --help", cmd.CommandPath()))
}

// badInput is a mistake in a value that the user gave.
func badInput(format string, args ...any) error {
	return failure.With(fmt.Errorf(format, args...), failure.Exit(failure.CodeUsage))
}
