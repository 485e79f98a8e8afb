package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/kluster-project/kluster/internal/fault"
)

func newFaultCmd(a *app) *cobra.Command {
	children := make([]*cobra.Command, 0, len(fault.Kinds())+4)
	for _, info := range fault.Kinds() {
		children = append(children, newFaultKindCmd(a, info))
	}
	return newGroupCmd("fault", "Hurt nodes on purpose, for a while",
		append(children, newFaultRunCmd(a), newFaultListCmd(a), newFaultClearCmd(a), newFaultGuardCmd(a))...)
}

// undoOverdue undoes faults that nobody else will undo. That it fails does not stop a
// verb, which may have nothing to do with them.
func (a *app) undoOverdue(ctx context.Context) {
	if a.display == nil {
		return // the shell asks for completions
	}
	ctx, cancel := context.WithTimeout(ctx, fault.OverdueTime)
	defer cancel()
	if err := a.clusters.UndoOverdue(ctx); err != nil && ctx.Err() == nil {
		a.reporter().Note("%v", err)
	}
}
