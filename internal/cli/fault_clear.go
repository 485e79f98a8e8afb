package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/kluster-project/kluster/internal/fault"
)

// faultClearOptions are the flags and arguments of "fault clear".
type faultClearOptions struct {
	cluster string
	ids     []string
	all     bool
	output  choice
}

func newFaultClearCmd(a *app, runs ...func(context.Context, *app, *faultClearOptions) error) *cobra.Command {
	opts, run := &faultClearOptions{}, runFaultClear
	if len(runs) > 0 {
		run = runs[0]
	}
	cmd := &cobra.Command{
		Use:     "clear (ID... | --all)",
		Short:   "Undo faults of a cluster at once",
		Example: "  kluster fault clear --all\n  kluster fault clear 4kq2v7xz",
		RunE: func(cmd *cobra.Command, args []string) error {
			if opts.ids = args; opts.all == (len(args) > 0) {
				return usageError(cmd, "say which faults: either their IDs (kluster fault list) or --all")
			}
			return run(cmd.Context(), a, opts)
		},
		ValidArgsFunction: func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			return a.faultIDs(cmd, opts.cluster)
		},
	}
	a.addCluster(cmd, &opts.cluster)
	cmd.Flags().BoolVar(&opts.all, "all", false, "all faults that the cluster has")
	addChoice(cmd, &opts.output, "output", "o", "how to print", formatName, formatJSON)
	return cmd
}

// faultIDs completes IDs of faults.
func (a *app) faultIDs(cmd *cobra.Command, name string) ([]string, cobra.ShellCompDirective) {
	return a.ask(cmd, func(ctx context.Context, clusters Clusters) ([]string, error) {
		name, err := clusters.Only(ctx, name)
		if err != nil {
			return nil, err
		}
		all, err := clusters.Faults(ctx, name)
		ids := make([]string, 0, len(all))
		for _, f := range all {
			ids = append(ids, f.ID)
		}
		return ids, err
	})
}

func runFaultClear(ctx context.Context, a *app, opts *faultClearOptions) error {
	clusters, name, err := a.existing(ctx, opts.cluster)
	if err != nil {
		return err
	}
	var cleared []fault.Active
	cleared, err = clusters.ClearFaults(ctx, name, opts.ids...)
	a.close()
	return errors.Join(err, a.printFaults(opts.output.value, cleared))
}
