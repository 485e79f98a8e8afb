package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

// deleteOptions are the flags and argument of "delete".
type deleteOptions struct {
	name       string
	all        bool
	kubeconfig string
}

const deleteLong = `Deletes a cluster, whole or half made, with its volumes, its network and its
kubeconfig context, also where create was told another file. Without NAME it is
the only cluster there is. To delete what does not exist is no error. A cluster
whose container runtimes are being swapped (kluster runtime swap) is left alone.`

func newDeleteCmd(a *app, runs ...func(context.Context, *app, *deleteOptions) error) *cobra.Command {
	opts, run := &deleteOptions{}, runDelete
	if len(runs) > 0 {
		run = runs[0]
	}
	cmd := &cobra.Command{
		Use:     "delete [NAME]",
		Aliases: []string{"rm"},
		Short:   "Delete a cluster, or all",
		Long:    deleteLong,
		Example: "  kluster delete\n  kluster delete two\n  kluster delete --all",
		Args:    clusterWord(atMost(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.take(cmd, dropClusterWord(args)); err != nil {
				return err
			}
			return run(cmd.Context(), a, opts)
		},
		ValidArgsFunction: a.clusterNames,
	}
	cmd.Flags().BoolVar(&opts.all, "all", false, "delete every cluster of the engine")
	cmd.Flags().StringVar(&opts.kubeconfig, "kubeconfig", "", "`FILE` to remove the context from (default: $KUBECONFIG or ~/.kube/config)")
	for _, name := range []string{"cluster", "name"} {
		cmd.Flags().StringVar(&opts.name, name, "", "the same as NAME")
		complete(cmd, name, a.clusterNames)
	}
	hide(cmd, "name")
	return cmd
}

// take puts the argument into the options.
func (o *deleteOptions) take(cmd *cobra.Command, args []string) error {
	if len(args) == 1 {
		if o.name != "" && o.name != args[0] {
			return usageError(cmd, "two names were given: %q and %q", o.name, args[0])
		}
		o.name = args[0]
	}
	if o.all && o.name != "" {
		return usageError(cmd, "--all deletes every cluster: leave out %q", o.name)
	}
	return nil
}

func runDelete(ctx context.Context, a *app, opts *deleteOptions) error {
	clusters, err := a.manager(ctx)
	if err != nil {
		return err
	}
	if opts.all {
		return a.deleteAll(ctx, clusters, opts.kubeconfig)
	}
	name, err := a.nameToDelete(ctx, clusters, opts.name)
	if err != nil {
		return err
	}
	if name == "" {
		a.reporter().Note("there is no cluster")
		return nil
	}
	done := a.reporter().Start("deleting "+name, 0)
	existed, err := clusters.Delete(ctx, name, opts.kubeconfig)
	done(err)
	if err != nil {
		return err
	}
	if !existed {
		a.reporter().Note("there is no cluster %q", name)
		return nil
	}
	a.close()
	_, err = fmt.Fprintln(a.streams.Out, name)
	return err
}

// nameToDelete is name, else that of the only cluster, or "" when there is none.
func (a *app) nameToDelete(ctx context.Context, clusters Clusters, name string) (string, error) {
	if name != "" {
		return name, nil
	}
	infos, err := clusters.List(ctx)
	if err != nil || len(infos) == 0 {
		return "", err
	}
	return clusters.Only(ctx, "")
}

func (a *app) deleteAll(ctx context.Context, clusters Clusters, kubeconfig string) error {
	done := a.reporter().Start("deleting every cluster", 0)
	names, err := clusters.DeleteAll(ctx, kubeconfig)
	done(err)
	a.close()
	for _, name := range names {
		fmt.Fprintln(a.streams.Out, name)
	}
	return err
}
