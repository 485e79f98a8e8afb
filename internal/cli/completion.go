package cli

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"
)

// completionTime bounds a look at the engine, so that Tab never hangs.
const completionTime = 2 * time.Second

// clusterNames completes names of clusters.
func (a *app) clusterNames(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.ask(cmd, func(ctx context.Context, clusters Clusters) ([]string, error) {
		infos, err := clusters.List(ctx)
		names := make([]string, 0, len(infos))
		for _, info := range infos {
			names = append(names, info.Name)
		}
		return names, err
	})
}

// nodeNames completes names of nodes, those of --cluster if it is given.
func (a *app) nodeNames(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	name := ""
	if f := cmd.Flag("cluster"); f != nil {
		name = f.Value.String()
	}
	return a.ask(cmd, func(ctx context.Context, clusters Clusters) ([]string, error) {
		nodes, err := clusters.Nodes(ctx, name)
		names := make([]string, 0, len(nodes))
		for _, n := range nodes {
			names = append(names, n.Name)
		}
		return names, err
	})
}

// ask asks the engine for completions; without an engine there are none. What is
// known is offered, whatever did not answer.
func (a *app) ask(cmd *cobra.Command, f func(context.Context, Clusters) ([]string, error)) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
	defer cancel()
	clusters, err := a.manager(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names, _ := f(ctx, clusters)
	return names, cobra.ShellCompDirectiveNoFileComp
}

// addCluster adds --cluster, the existing cluster that a verb works on.
func (a *app) addCluster(cmd *cobra.Command, name *string) {
	cmd.Flags().StringVar(name, "cluster", "", "name of the cluster (default: the only one there is)")
	complete(cmd, "cluster", func(cmd *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
		return a.clusterNames(cmd, nil, prefix)
	})
}

// kubernetesVersions completes the versions that images can be built for.
func (a *app) kubernetesVersions(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	options, err := a.deps.Config()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return options.KubernetesVersions, cobra.ShellCompDirectiveNoFileComp
}

// runtimeNames completes container runtimes.
func (a *app) runtimeNames(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	options, err := a.deps.Config()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return options.Runtimes, cobra.ShellCompDirectiveNoFileComp
}

// ociRuntimeNames completes OCI runtimes.
func (a *app) ociRuntimeNames(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	options, err := a.deps.Config()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return options.OCIRuntimes, cobra.ShellCompDirectiveNoFileComp
}

// addonNames completes add-ons that are not on the command line yet.
func (a *app) addonNames(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	options, err := a.deps.Config()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	left := slices.DeleteFunc(slices.Clone(options.Addons), func(name string) bool { return slices.Contains(args, name) })
	return left, cobra.ShellCompDirectiveNoFileComp
}
