package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	nodeimage "github.com/kluster-project/kluster/node-image"
)

// pruneAfter is how long a part of the cache is kept without being used.
const pruneAfter = 14 * 24 * time.Hour

// buildPruneOptions are the flags of "build prune".
type buildPruneOptions struct {
	all    bool
	output choice
}

const buildPruneLong = `Removes from the cache what no build of a node image has used for 14 days, and
says how much room that made. Node images in the engine stay; what is gone from
the cache is built again when a build needs it.`

func newBuildPruneCmd(a *app) *cobra.Command {
	opts := &buildPruneOptions{}
	cmd := &cobra.Command{
		Use:     "prune",
		Short:   "Remove what builds no longer use from the cache",
		Long:    buildPruneLong,
		Example: "  kluster build prune\n  kluster build prune --all",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runBuildPrune(cmd.Context(), a, opts) },
	}
	cmd.Flags().BoolVar(&opts.all, "all", false, "remove everything that was built")
	addChoice(cmd, &opts.output, "output", "o", "how to print", formatText, formatJSON)
	return cmd
}

func runBuildPrune(ctx context.Context, a *app, opts *buildPruneOptions) error {
	dir, err := a.deps.CacheDir()
	if err != nil {
		return err
	}
	unused := pruneAfter
	if opts.all {
		unused = 0
	}
	done := a.reporter().Start("pruning the cache", 0)
	pruned, err := nodeimage.Prune(ctx, dir, unused)
	done(err)
	if err != nil {
		return err
	}
	a.close()
	if opts.output.value == formatJSON {
		return printJSON(a.streams.Out, pruned)
	}
	_, err = fmt.Fprintf(a.streams.Out, "freed %d MB\n", pruned.Bytes/1e6)
	return err
}
