package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/kluster-project/kluster/internal/cluster"
)

const loadLong = `Loads container images into the nodes of a cluster, so that pods can use them
without a registry: images that the container engine holds, by name, or those of
an archive (what an engine's "save" writes, or an OCI image layout as a tar
file; either may be compressed with gzip) or of an OCI image layout.

All nodes are loaded at once, and each is sent only the layers that it lacks, of
the image for its platform. A node that has an image already, by digest, is left
alone. A load that fails or is interrupted leaves a node as it was; layers that
it got may stay until the runtime collects its garbage.`

const loadExample = `  kluster load app:dev
  kluster load app:dev db:dev --cluster ci --verify
  kluster load --archive app.tar --node kluster-worker-1
  kluster load --oci-layout build/app --name app:dev`

func newLoadCmd(a *app, runs ...func(context.Context, *app, *cluster.LoadOptions) error) *cobra.Command {
	opts, run := &cluster.LoadOptions{}, runLoad
	if len(runs) > 0 {
		run = runs[0]
	}
	cmd := &cobra.Command{
		Use:     "load IMAGE... | --archive FILE | --oci-layout DIR",
		Short:   "Load container images into nodes",
		Long:    loadLong,
		Example: loadExample,
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Images = args
			if err := checkLoad(cmd, opts); err != nil {
				return err
			}
			return run(cmd.Context(), a, opts)
		},
	}
	a.addCluster(cmd, &opts.Cluster)
	f := cmd.Flags()
	f.StringVar(&opts.Archive, "archive", "", "`FILE` that holds the images")
	f.StringVar(&opts.Layout, "oci-layout", "", "`DIR` that holds the images, as an OCI image layout")
	f.StringVar(&opts.Name, "name", "", "what the image of a file or folder is called if it has no `NAME` there")
	f.StringSliceVar(&opts.Nodes, "node", nil, "only into this node (repeatable; default: all)")
	f.BoolVar(&opts.Verify, "verify", false, "ask the nodes afterwards whether they have the images, by digest")
	complete(cmd, "node", func(cmd *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
		return a.nodeNames(cmd, nil, prefix)
	})
	return cmd
}

// checkLoad sees that images come from one place.
func checkLoad(cmd *cobra.Command, opts *cluster.LoadOptions) error {
	given := 0
	for _, is := range []bool{len(opts.Images) > 0, opts.Archive != "", opts.Layout != ""} {
		if is {
			given++
		}
	}
	switch {
	case given == 0:
		return usageError(cmd, "nothing to load: give names of images, --archive FILE or --oci-layout DIR")
	case given > 1:
		return usageError(cmd, "give only one of: names of images, --archive, --oci-layout")
	case opts.Name != "" && len(opts.Images) > 0:
		return usageError(cmd, "--name is for --archive and --oci-layout")
	}
	return nil
}

func runLoad(ctx context.Context, a *app, opts *cluster.LoadOptions) error {
	clusters, name, err := a.existing(ctx, opts.Cluster)
	if err != nil {
		return err
	}
	named := *opts
	named.Cluster = name
	return clusters.Load(ctx, named)
}
