package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kluster-project/kluster/internal/cluster"
)

func newNodeCmd(a *app) *cobra.Command {
	return newGroupCmd("node", "Add, remove, stop, start and restart nodes of a cluster",
		newNodeAddCmd(a), newNodeRemoveCmd(a), newNodeLifeCmd(a, stopNode), newNodeLifeCmd(a, startNode), newNodeLifeCmd(a, restartNode), newNodeLifeCmd(a, rebootNode),
	)
}

// The verbs on nodes.
var (
	stopNode = lifeVerb{
		cluster.Stop, "stopped", "Stop nodes, which keep what they have",
		`Stops nodes all at once, without draining them: to Kubernetes it is a machine
that is switched off. Its pods are elsewhere after some minutes, if they may run
elsewhere. A node that was stopped starts again only with kluster node start or
kluster start; not with the engine or the host.

Control planes whose end would leave etcd without a majority of its members are
not stopped, unless --force is given: the API would be away.`,
	}
	startNode = lifeVerb{
		cluster.Start, "ready", "Start nodes, and wait until they are Ready",
		`Starts nodes all at once and waits until each has said since that it is Ready,
and its API server serves if it has one. Nodes that are paused go on.`,
	}
	restartNode = lifeVerb{
		cluster.Restart, "ready", "Stop nodes and start them, one after the other",
		`The engine stops each node and starts it again: it is a machine that is switched
off and on, and does not know of it. The next node follows when the node is
Ready. kluster node reboot is the same from inside, by the node's own systemd.

Control planes are not restarted when etcd would be without a majority of its
members meanwhile because another one is down, unless --force is given.`,
	}
	rebootNode = lifeVerb{
		cluster.Reboot, "ready", "Let nodes reboot themselves, one after the other",
		`Each node's own systemd ends all its services and then itself, as systemctl
reboot does on a machine, and the engine starts what has ended by itself. The
next node follows when the node is Ready. kluster node restart is the same from
outside: the engine stops the node and starts it. What differs is who begins it,
and so what a test of reboots sees: inhibitors, shutdown units and the restart
policy of the engine take part in a reboot, and only units in a restart.

Control planes are not rebooted when etcd would be without a majority of its
members meanwhile because another one is down, unless --force is given.`,
	}
)

const nodesLong = `

NODE is a node's name, or what follows the cluster's name in it. What is so
already is no error.`

func newNodeLifeCmd(a *app, v lifeVerb, runs ...func(context.Context, *app, lifeVerb, *lifeOptions) error) *cobra.Command {
	opts, run := &lifeOptions{}, runNodeLife
	if len(runs) > 0 {
		run = runs[0]
	}
	cmd := &cobra.Command{
		Use:     string(v.verb) + " NODE...",
		Short:   v.short,
		Long:    v.long + nodesLong,
		Example: fmt.Sprintf("  kluster node %[1]s worker-1\n  kluster node %[1]s mine-control-plane-2 mine-worker-1 -o json", v.verb),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError(cmd, "which nodes? kluster get nodes lists them")
			}
			opts.Nodes = args
			return runTimed(cmd, a, v, opts, run)
		},
		ValidArgsFunction: a.moreNodeNames,
	}
	a.addCluster(cmd, &opts.Cluster)
	addLifeFlags(cmd, opts)
	if v.verb != cluster.Start {
		cmd.Flags().BoolVar(&opts.Force, "force", false, "also leave etcd without a majority of its members")
	}
	return cmd
}

func runNodeLife(ctx context.Context, a *app, v lifeVerb, opts *lifeOptions) error {
	clusters, err := a.manager(ctx)
	if err != nil {
		return err
	}
	life := opts.LifeOptions
	life.Cluster, life.Nodes, err = findNodes(ctx, clusters, opts.Cluster, opts.Nodes)
	if err != nil {
		return err
	}
	return a.live(ctx, clusters, v, life, opts.output.value)
}

// findNodes finds nodes of one cluster, as findNode does, and gives its name and theirs.
func findNodes(ctx context.Context, clusters Clusters, clusterName string, wanted []string) (string, []string, error) {
	var names []string
	for _, w := range wanted {
		n, err := findNode(ctx, clusters, clusterName, w)
		if err != nil {
			return "", nil, err
		}
		clusterName = n.Cluster
		names = append(names, n.Name)
	}
	return clusterName, names, nil
}

// moreNodeNames completes names of nodes that are not on the command line yet.
func (a *app) moreNodeNames(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	names, directive := a.nodeNames(cmd, nil, prefix)
	return slices.DeleteFunc(names, func(name string) bool {
		return slices.ContainsFunc(args, func(arg string) bool { return arg == name || strings.HasSuffix(name, "-"+arg) })
	}), directive
}
