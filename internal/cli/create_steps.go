package cli

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kluster-project/kluster/internal/cluster"
)

// Variables that name a step of a create at whose begin the command sends itself a
// signal, so that tests can walk all of them.
var signalVariables = map[string]os.Signal{
	"KLUSTER_TEST_INTERRUPT_AT": os.Interrupt,
	"KLUSTER_TEST_KILL_AT":      os.Kill,
}

// addListSteps adds a hidden flag that prints the names of a create's steps,
// one per line, and does nothing else.
func addListSteps(a *app, cmd *cobra.Command) {
	list := cmd.Flags().Bool("list-steps", false, "print the steps of a create and do nothing")
	hide(cmd, "list-steps")
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !*list {
			return run(cmd, args)
		}
		_, err := fmt.Fprintln(a.streams.Out, strings.Join(cluster.Steps(), "\n"))
		return err
	}
}

// signalAt is cluster.CreateOptions.OnStep for signalVariables; nil without.
func (a *app) signalAt() func(context.Context, string) {
	for variable, signal := range signalVariables {
		if at, ok := a.deps.LookupEnv(variable); ok {
			return func(ctx context.Context, step string) {
				if step == at {
					signalSelf(ctx, signal)
				}
			}
		}
	}
	return nil
}

// signalSelf returns when the signal has come through.
func signalSelf(ctx context.Context, s os.Signal) {
	self, err := os.FindProcess(os.Getpid())
	if err == nil && self.Signal(s) == nil {
		<-ctx.Done()
	}
}
