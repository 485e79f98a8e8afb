package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kluster-project/kluster/internal/cluster"
)

func newRuntimeListCmd(a *app) *cobra.Command {
	var output choice
	var name string
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List what runs the containers of each node, and what else its image holds",
		Example: "  kluster runtime list\n  kluster runtime list -o json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runRuntimeList(cmd.Context(), a, name, output.value)
		},
	}
	a.addCluster(cmd, &name)
	addOutput(cmd, &output)
	return cmd
}

func runRuntimeList(ctx context.Context, a *app, name, format string) error {
	clusters, name, err := a.existing(ctx, name)
	if err != nil {
		return err
	}
	nodes, err := clusters.Runtimes(ctx, name)
	if err != nil {
		return err
	}
	return show(a.streams.Out, format, listOf(nodes), func() table { return runtimeTable(nodes) })
}

func runtimeTable(nodes []cluster.NodeRuntime) table {
	t := table{head: []string{"NODE", "RUNTIME", "OCI-RUNTIME", "RUNTIMES", "OCI-RUNTIMES"}}
	for _, n := range nodes {
		t.rows = append(t.rows, []string{
			n.Node, n.Runtime, n.OCIRuntime, strings.Join(n.Runtimes, ","), orDash(strings.Join(n.OCIRuntimes, ",")),
		})
	}
	return t
}
