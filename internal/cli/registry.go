package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kluster-project/kluster/internal/cluster"
	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/registries"
)

const registryLong = `A local registry and pull-through caches of other registries, for all clusters
of the engine. They run in machines of their own, made of a node image, and stay
when clusters are deleted.

Images that the host pushes to localhost:5001 are pulled by that name on every
node of a cluster made with --registry. A cluster made with --cache REGISTRY
pulls what that registry has by way of a cache, which gives what it holds also
when the registry cannot be reached. Clusters that there are get both with
"connect", and no more with "disconnect".`

const registryExample = `  kluster create --registry --cache docker.io
  kluster kubectl -- run app --image localhost:5001/app:dev # once it is pushed`

func newRegistryCmd(a *app) *cobra.Command {
	cmd := newGroupCmd("registry", "Keep a local registry and caches of others, for all clusters",
		newRegistryCreateCmd(a), newRegistryListCmd(a), newRegistryConnectCmd(a), newRegistryDisconnectCmd(a),
		newRegistryDeleteCmd(a), newRegistryCredentialsCmd(a))
	cmd.Long, cmd.Example = registryLong, registryExample
	cmd.Aliases = []string{"registries"}
	return cmd
}

func newRegistryCreateCmd(a *app) *cobra.Command {
	var output choice
	var port int
	var caches []string
	cmd := &cobra.Command{
		Use:   "create [--cache REGISTRY[=URL]]...",
		Short: "Make the local registry, or caches of other registries",
		Long: `Makes the local registry, or with --cache caches of other registries, and prints
their names. What is there already, and the same, is started if it does not run,
and a cache is given the credentials that the user has now.

A cache asks its registry with the credentials that the user has logged in with
on this machine, if any. They are in a file that only root of the cache's
machine can read.`,
		Example: "  kluster registry create\n  kluster registry create --cache docker.io --cache registry.k8s.io\n  kluster registry create --cache registry.example:5000=http://10.0.0.7:5000",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opt, err := registryOptions(cmd, port, caches)
			if err != nil {
				return err
			}
			return runRegistryCreate(cmd.Context(), a, opt, output.value)
		},
	}
	cmd.Flags().IntVar(&port, "port", registries.DefaultPort, "the local registry's `PORT` on the loopback address of the host and of nodes")
	cmd.Flags().StringArrayVar(&caches, "cache", nil, cacheUsage)
	addChoice(cmd, &output, "output", "o", "how to print", formatName, formatJSON, formatTable)
	return cmd
}

const cacheUsage = "`REGISTRY` to have a cache of (docker.io), or REGISTRY=URL where it answers elsewhere (repeatable)"

func registryOptions(cmd *cobra.Command, port int, caches []string) (cluster.RegistryOptions, error) {
	var opt cluster.RegistryOptions
	switch given := cmd.Flags().Changed("port"); {
	case given && len(caches) > 0:
		return opt, usageError(cmd, "--port is the local registry's: caches have none on the host")
	case port < 1 || port > 65535:
		return opt, usageError(cmd, "--port %d: must be from 1 to 65535", port)
	case len(caches) == 0:
		opt.Local = &port
		return opt, nil
	}
	var err error
	opt.Caches, err = config.CheckCaches(caches)
	return opt, err
}

func runRegistryCreate(ctx context.Context, a *app, opt cluster.RegistryOptions, format string) error {
	clusters, err := a.manager(ctx)
	if err != nil {
		return err
	}
	infos, err := clusters.CreateRegistries(ctx, opt)
	if err != nil {
		return err
	}
	if opt.Local != nil && len(infos) == 1 {
		a.reporter().Note("push to %s/NAME; give it to clusters with: kluster create --registry, kluster registry connect", infos[0].Address)
	}
	a.close()
	return show(a.streams.Out, format, listOf(infos), func() table { return registryTable(infos) })
}

func newRegistryListCmd(a *app) *cobra.Command {
	var output choice
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the local registry and the caches, with the clusters that use them",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			clusters, err := a.manager(cmd.Context())
			if err != nil {
				return err
			}
			infos, err := clusters.Registries(cmd.Context())
			if err != nil {
				return err
			}
			return show(a.streams.Out, output.value, listOf(infos), func() table { return registryTable(infos) })
		},
	}
	addOutput(cmd, &output)
	return cmd
}

func registryTable(infos []registries.Info) table {
	t := table{head: []string{"NAME", "OF", "STATE", "SIZE", "CLUSTERS"}}
	for _, i := range infos {
		of := i.Address
		if of == "" {
			of = i.Upstream
		}
		t.rows = append(t.rows, []string{i.Name, of, i.State, fmt.Sprintf("%d MB", (i.Bytes+500_000)/1_000_000), orDash(strings.Join(i.Clusters, ","))})
	}
	return t
}

func newRegistryConnectCmd(a *app) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "connect [NAME...]",
		Short: "Give a cluster that there is the local registry and caches",
		Long: `Gives a cluster that there is the registries of these names, or all there are.
Pulls that begin afterwards use them; nothing is restarted. A cache can also be
named by what it is a cache of.`,
		Example:           "  kluster registry connect\n  kluster registry connect docker.io --cluster ci",
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: a.registryNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			clusters, name, err := a.existing(cmd.Context(), name)
			if err != nil {
				return err
			}
			done, err := clusters.ConnectRegistries(cmd.Context(), name, args)
			return a.printNames(done, err)
		},
	}
	a.addCluster(cmd, &name)
	return cmd
}

func newRegistryDisconnectCmd(a *app) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "disconnect [NAME...]",
		Short: "Take the local registry and caches from a cluster",
		Long: `Takes the registries of these names from a cluster, or all that it uses. They
stay, with all images in them, for other clusters. Pulls that begin afterwards
ask the registries that images are named by; nothing is restarted.`,
		Example:           "  kluster registry disconnect\n  kluster registry disconnect docker.io --cluster ci",
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: a.registryNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			clusters, name, err := a.existing(cmd.Context(), name)
			if err != nil {
				return err
			}
			done, err := clusters.DisconnectRegistries(cmd.Context(), name, args)
			return a.printNames(done, err)
		},
	}
	a.addCluster(cmd, &name)
	return cmd
}

func newRegistryDeleteCmd(a *app) *cobra.Command {
	var all, force bool
	cmd := &cobra.Command{
		Use:     "delete NAME... | --all",
		Aliases: []string{"rm"},
		Short:   "Delete registries, with all images in them",
		Long: `Deletes registries with all that they hold. One that clusters use is only
deleted with --force.`,
		Example:           "  kluster registry delete docker.io\n  kluster registry delete --all",
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: a.registryNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return usageError(cmd, "either names of registries or --all")
			}
			clusters, err := a.manager(cmd.Context())
			if err != nil {
				return err
			}
			gone, err := clusters.DeleteRegistries(cmd.Context(), args, force)
			return a.printNames(gone, err)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "delete every registry of kluster's")
	cmd.Flags().BoolVar(&force, "force", false, "also those that clusters use")
	return cmd
}

// printNames prints what was done, also where it ended with an error.
func (a *app) printNames(names []string, err error) error {
	a.close()
	for _, name := range names {
		fmt.Fprintln(a.streams.Out, name)
	}
	return err
}

// registryNames completes names of registries.
func (a *app) registryNames(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return a.ask(cmd, func(ctx context.Context, clusters Clusters) ([]string, error) {
		infos, err := clusters.Registries(ctx)
		names := make([]string, 0, len(infos))
		for _, i := range infos {
			names = append(names, i.Name)
		}
		return names, err
	})
}
