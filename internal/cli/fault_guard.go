package cli

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/kluster-project/kluster/internal/cluster"
)

// newFaultGuardCmd is what kluster starts itself as, to undo a fault whatever becomes of
// the kluster that has begun it. NAME is for whoever looks at processes: the order has it too.
func newFaultGuardCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:    "guard [NAME]",
		Short:  "Guard a fault (kluster starts this itself)",
		Args:   atMost(1),
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			clusters, err := a.reach(cmd.Context())
			if err != nil {
				return err
			}
			return clusters.Guard(cmd.Context(), a.streams.In, os.NewFile(cluster.GuardAnswers, "answers"))
		},
	}
}
