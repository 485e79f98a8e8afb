package cli

import (
	"context"

	"github.com/spf13/cobra"
)

// loadOptions are the flags of "load".
type loadOptions struct {
	cluster string
	archive string
	nodes   []string
}

const loadLong = `Loads the container images of an archive (an OCI image layout, or what a
container engine's "save" writes) into the nodes of a cluster, so that pods can
use them without a registry.`

func newLoadCmd(a *app, runs ...func(context.Context, *app, *loadOptions) error) *cobra.Command {
	opts, run := &loadOptions{}, runLoad
	if len(runs) > 0 {
		run = runs[0]
	}
	cmd := &cobra.Command{
		Use:     "load --archive FILE",
		Short:   "Load container images into nodes",
		Long:    loadLong,
		Example: "  kluster load --archive app.tar\n  kluster load --archive app.tar --node kluster-worker-1",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.archive == "" {
				return usageError(cmd, "nothing to load: give --archive FILE")
			}
			return run(cmd.Context(), a, opts)
		},
	}
	a.addCluster(cmd, &opts.cluster)
	cmd.Flags().StringVar(&opts.archive, "archive", "", "`FILE` that holds the images")
	cmd.Flags().StringSliceVar(&opts.nodes, "node", nil, "only into this node (repeatable; default: all)")
	complete(cmd, "node", func(cmd *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
		return a.nodeNames(cmd, nil, prefix)
	})
	return cmd
}

func runLoad(ctx context.Context, a *app, opts *loadOptions) error {
	clusters, name, err := a.existing(ctx, opts.cluster)
	if err != nil {
		return err
	}
	return clusters.LoadArchive(ctx, name, opts.archive, opts.nodes)
}
