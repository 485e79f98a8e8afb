package cli

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kluster-project/kluster/internal/cluster"
)

// interruptVariable names a step of a create at whose begin the command
// interrupts itself, so that tests can walk all of them.
const interruptVariable = "KLUSTER_TEST_INTERRUPT_AT"

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

// interruptAt is cluster.CreateOptions.OnStep for interruptVariable; nil without.
func (a *app) interruptAt() func(context.Context, string) {
	at, ok := a.deps.LookupEnv(interruptVariable)
	if !ok {
		return nil
	}
	return func(ctx context.Context, step string) {
		if step != at {
			return
		}
		self, err := os.FindProcess(os.Getpid())
		if err == nil && self.Signal(os.Interrupt) == nil {
			<-ctx.Done()
		}
	}
}
