package cli

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kluster-project/kluster/internal/fault"
	"github.com/kluster-project/kluster/internal/status"
)

func newFaultListCmd(a *app) *cobra.Command {
	var output choice
	var name string
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the faults that a cluster has now",
		Example: "  kluster fault list\n  kluster fault list -o json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runFaultList(cmd.Context(), a, name, output.value)
		},
	}
	a.addCluster(cmd, &name)
	addOutput(cmd, &output)
	return cmd
}

func runFaultList(ctx context.Context, a *app, name, format string) error {
	clusters, name, err := a.existing(ctx, name)
	if err != nil {
		return err
	}
	// What is known is shown, whatever does not answer.
	all, err := clusters.Faults(ctx, name)
	a.close()
	if err != nil && len(all) == 0 {
		return err // "none" would be more than is known
	}
	return errors.Join(err, show(a.streams.Out, format, listOf(all), func() table { return faultTable(all, time.Now()) }))
}

func faultTable(all []fault.Active, now time.Time) table {
	t := table{head: []string{"ID", "KIND", "NODES", "LEFT", "UNDO", "PARAMETERS"}}
	for _, f := range all {
		t.rows = append(t.rows, []string{
			f.ID, string(f.Kind), strings.Join(f.Nodes, ","), status.Short(max(0, f.Until.Sub(now))), "by " + string(f.Undo), orDash(inOrder(f.Params)),
		})
	}
	return t
}

// inOrder is parameters by name: "direction=in,from=c-worker-1".
func inOrder(params map[string]string) string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(params)) {
		words = append(words, name+"="+params[name])
	}
	return strings.Join(words, " ")
}
