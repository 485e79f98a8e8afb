package cli

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/kluster-project/kluster/internal/cluster"
	"github.com/kluster-project/kluster/internal/status"
)

func newGetClustersCmd(a *app) *cobra.Command {
	var output choice
	cmd := &cobra.Command{
		Use:     "clusters",
		Aliases: []string{"cluster"},
		Short:   "List the clusters of the engine",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runGetClusters(cmd.Context(), a, output.value) },
	}
	addOutput(cmd, &output)
	return cmd
}

func runGetClusters(ctx context.Context, a *app, format string) error {
	clusters, err := a.manager(ctx)
	if err != nil {
		return err
	}
	infos, err := clusters.List(ctx)
	if err != nil {
		return err
	}
	return show(a.streams.Out, format, listOf(infos), func() table { return clusterTable(infos, time.Now()) })
}

func clusterTable(infos []cluster.Info, now time.Time) table {
	t := table{head: []string{"NAME", "STATUS", "VERSION", "RUNTIME", "NODES", "AGE", "SERVER", "EPHEMERAL"}}
	for _, c := range infos {
		t.rows = append(t.rows, []string{
			c.Name, c.Status, orDash(c.Kubernetes), orDash(c.Runtime), strconv.Itoa(countNodes(c.Nodes)),
			age(c.Created, now), orDash(c.Server), yesOrDash(c.Ephemeral),
		})
	}
	return t
}

// age is how long ago a cluster was made; "-" if none of its machines is left to
// tell.
func age(created, now time.Time) string {
	if created.IsZero() {
		return "-"
	}
	return status.Short(now.Sub(created))
}

func yesOrDash(yes bool) string {
	if yes {
		return "yes"
	}
	return "-"
}

// orDash keeps columns in place where something is not known.
func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
