package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kluster-project/kluster/internal/cluster"
)

func newGetNodesCmd(a *app) *cobra.Command {
	var output choice
	var name string
	cmd := &cobra.Command{
		Use:     "nodes",
		Aliases: []string{"node"},
		Short:   "List the machines of a cluster, the load balancer included",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runGetNodes(cmd.Context(), a, name, output.value) },
	}
	a.addCluster(cmd, &name)
	addOutput(cmd, &output)
	return cmd
}

func runGetNodes(ctx context.Context, a *app, name, format string) error {
	clusters, name, err := a.existing(ctx, name)
	if err != nil {
		return err
	}
	nodes, err := clusters.Nodes(ctx, name)
	if err != nil {
		return err
	}
	return show(a.streams.Out, format, listOf(nodes), func() table { return nodeTable(nodes) })
}

func nodeTable(nodes []cluster.NodeInfo) table {
	t := table{head: []string{"NAME", "CLUSTER", "ROLE", "STATE", "RUNTIME", "ADDRESSES", "IMAGE"}}
	for _, n := range nodes {
		t.rows = append(t.rows, []string{n.Name, n.Cluster, n.Role, n.State, orDash(n.Runtime), orDash(strings.Join(n.Addresses, ",")), n.Image})
	}
	return t
}

// existing reaches the engine and gives the cluster that a verb works on: the
// named one, which must exist, or the only one.
func (a *app) existing(ctx context.Context, name string) (Clusters, string, error) {
	clusters, err := a.manager(ctx)
	if err != nil {
		return nil, "", err
	}
	name, err = clusters.Only(ctx, name)
	return clusters, name, err
}
