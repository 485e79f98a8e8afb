package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kluster-project/kluster/internal/cluster"
	"github.com/kluster-project/kluster/internal/failure"
)

func newAddonCmd(a *app) *cobra.Command {
	return newGroupCmd("addon", "See, install and remove add-ons of a cluster", newAddonListCmd(a), newAddonInstallCmd(a), newAddonUninstallCmd(a))
}

func newAddonListCmd(a *app) *cobra.Command {
	var output choice
	var name string
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the add-ons, and which of them a cluster has",
		Example: "  kluster addon list\n  kluster addon list --cluster ci -o json",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runAddonList(cmd.Context(), a, name, output.value) },
	}
	a.addCluster(cmd, &name)
	addOutput(cmd, &output)
	return cmd
}

func runAddonList(ctx context.Context, a *app, wanted, format string) error {
	clusters, name, err := a.existing(ctx, wanted)
	if err != nil && (wanted != "" || failure.Code(err) != failure.CodeUsage) {
		return err
	}
	// Without a cluster, or with several, there still is what can be installed.
	infos, err := clusters.Addons(ctx, name)
	if err != nil && wanted == "" && ctx.Err() == nil {
		a.reporter().Note("cluster %q does not say which it has: %v", name, err)
		infos, err = clusters.Addons(ctx, "")
	}
	if err != nil {
		return err
	}
	a.close()
	return show(a.streams.Out, format, listOf(infos), func() table { return addonTable(infos) })
}

func addonTable(infos []cluster.AddonInfo) table {
	t := table{head: []string{"NAME", "STATE", "REQUIRES", "DESCRIPTION"}}
	for _, i := range infos {
		t.rows = append(t.rows, []string{i.Name, orDash(i.State), orDash(strings.Join(i.Requires, ",")), i.Description})
	}
	return t
}

// addonWait is how long installing may take, once all that it needs is there: images
// are unpacked and pods start, on a machine that may be busy.
const addonWait = 5 * time.Minute

const addonInstallLong = `Installs add-ons in a cluster, with those that they require, and returns when
they work. Images that nodes lack are built first, once for all clusters, and
loaded. Installing one again brings it up to what this kluster knows of it.

An add-on that fails, or whose install is interrupted, is removed again.`

func newAddonInstallCmd(a *app, runs ...func(context.Context, *app, *cluster.AddonOptions, string) error) *cobra.Command {
	opts, output, run := &cluster.AddonOptions{}, choice{}, runAddonInstall
	if len(runs) > 0 {
		run = runs[0]
	}
	cmd := &cobra.Command{
		Use:               "install NAME...",
		Short:             "Install add-ons in a cluster",
		Long:              addonInstallLong,
		Example:           "  kluster addon install metrics-server",
		ValidArgsFunction: a.addonNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkAddons(cmd, opts, args); err != nil {
				return err
			}
			return run(cmd.Context(), a, opts, output.value)
		},
	}
	a.addCluster(cmd, &opts.Cluster)
	cmd.Flags().DurationVar(&opts.Wait, "wait", addonWait, "how long to wait for what is installed")
	addChoice(cmd, &output, "output", "o", "how to print", formatName, formatJSON)
	return cmd
}

// checkAddons sees that there are names.
func checkAddons(cmd *cobra.Command, opts *cluster.AddonOptions, args []string) error {
	opts.Names = args
	switch {
	case len(args) == 0:
		return usageError(cmd, "which add-on? kluster addon list prints them")
	case opts.Wait <= 0:
		return usageError(cmd, "--wait %v: must be more than 0", opts.Wait)
	}
	return nil
}

func runAddonInstall(ctx context.Context, a *app, opts *cluster.AddonOptions, format string) error {
	clusters, name, err := a.existing(ctx, opts.Cluster)
	if err != nil {
		return err
	}
	named := *opts
	named.Cluster = name
	done, err := clusters.InstallAddons(ctx, named)
	if err != nil {
		return err
	}
	a.close()
	if format == formatJSON {
		return printJSON(a.streams.Out, listOf(done))
	}
	_, err = fmt.Fprintln(a.streams.Out, strings.Join(done, "\n"))
	return err
}

const addonUninstallLong = `Removes add-ons from a cluster, and returns when nothing of them is left.
Custom resources of an add-on's kinds go with it, whoever made them. Images
stay in the nodes.`

func newAddonUninstallCmd(a *app, runs ...func(context.Context, *app, *cluster.AddonOptions) error) *cobra.Command {
	opts, run := &cluster.AddonOptions{}, runAddonUninstall
	if len(runs) > 0 {
		run = runs[0]
	}
	cmd := &cobra.Command{
		Use:               "uninstall NAME...",
		Aliases:           []string{"remove"},
		Short:             "Remove add-ons from a cluster",
		Long:              addonUninstallLong,
		Example:           "  kluster addon uninstall metrics-server",
		ValidArgsFunction: a.addonNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkAddons(cmd, opts, args); err != nil {
				return err
			}
			return run(cmd.Context(), a, opts)
		},
	}
	a.addCluster(cmd, &opts.Cluster)
	cmd.Flags().DurationVar(&opts.Wait, "wait", addonWait, "how long to wait until all is gone")
	return cmd
}

func runAddonUninstall(ctx context.Context, a *app, opts *cluster.AddonOptions) error {
	clusters, name, err := a.existing(ctx, opts.Cluster)
	if err != nil {
		return err
	}
	named := *opts
	named.Cluster = name
	return clusters.UninstallAddons(ctx, named)
}
