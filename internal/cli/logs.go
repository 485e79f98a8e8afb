package cli

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/kluster-project/kluster/internal/cluster"
	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/failure"
)

// logsOptions are the flags and argument of "logs".
type logsOptions struct {
	cluster, node string
	units         []string
	follow        bool
	since         time.Duration
}

const logsLong = `Prints what the kubelet and the container runtime of a node said, or other
systemd units of it; of the load balancer what its program printed. NODE is a
node's name, or what follows the cluster's name in it.

"kluster export logs" takes the logs of all nodes and of their pods.`

func newLogsCmd(a *app, runs ...func(context.Context, *app, *logsOptions) error) *cobra.Command {
	opts, run := &logsOptions{}, runLogs
	if len(runs) > 0 {
		run = runs[0]
	}
	cmd := &cobra.Command{
		Use:     "logs NODE",
		Short:   "Print the journal of a node",
		Long:    logsLong,
		Example: "  kluster logs control-plane-1\n  kluster logs worker-1 -f --unit kubelet\n  kluster logs lb --since 10m",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError(cmd, "logs needs one node: kluster logs NODE")
			}
			if opts.since < 0 {
				return usageError(cmd, "--since %v: must not be less than 0", opts.since)
			}
			opts.node = args[0]
			return run(cmd.Context(), a, opts)
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return a.nodeNames(cmd, args, prefix)
		},
	}
	a.addCluster(cmd, &opts.cluster)
	cmd.Flags().BoolVarP(&opts.follow, "follow", "f", false, "go on with what is said next, until Ctrl-C")
	cmd.Flags().StringArrayVar(&opts.units, "unit", nil, "systemd `UNIT`, several times for several (default: kubelet and container runtime)")
	complete(cmd, "unit", a.unitNames)
	addSince(cmd, &opts.since)
	return cmd
}

// addSince adds --since.
func addSince(cmd *cobra.Command, since *time.Duration) {
	cmd.Flags().DurationVar(since, "since", 0, "only what was said in the last `DURATION` (10m, 2h)")
}

// ago is the time that long ago; zero for no time.
func ago(d time.Duration) time.Time {
	if d == 0 {
		return time.Time{}
	}
	return time.Now().Add(-d)
}

func runLogs(ctx context.Context, a *app, opts *logsOptions) error {
	clusters, err := a.manager(ctx)
	if err != nil {
		return err
	}
	node, err := findNode(ctx, clusters, opts.cluster, opts.node)
	if err != nil {
		return err
	}
	if opts.follow {
		// Ctrl-C is how it ends: there is nothing to say of it.
		defer a.sayThrough(func(string) {})()
	}
	err = clusters.NodeLogs(ctx, node.Cluster, node.Name, cluster.LogOptions{
		Units: opts.units, Since: ago(opts.since), Follow: opts.follow,
	}, a.streams.Out, a.streams.Err)
	if opts.follow && errors.Is(context.Cause(ctx), failure.ErrInterrupted) {
		return exitStatus(failure.CodeInterrupted)
	}
	return err
}

// unitNames completes the units of the node that is given, or of any node.
func (a *app) unitNames(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return cri.LogUnits(cri.All()...), cobra.ShellCompDirectiveNoFileComp
	}
	return a.ask(cmd, func(ctx context.Context, clusters Clusters) ([]string, error) {
		node, err := findNode(ctx, clusters, cmd.Flag("cluster").Value.String(), args[0])
		if err != nil || node.Runtime == "" {
			return nil, err
		}
		runtime, err := cri.Get(node.Runtime)
		if err != nil {
			return nil, err
		}
		return cri.LogUnits(runtime), nil
	})
}
