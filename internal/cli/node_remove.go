package cli

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/kluster-project/kluster/internal/cluster"
	"github.com/kluster-project/kluster/internal/status"
)

// nodeRemoveOptions are the flags of "node remove".
type nodeRemoveOptions struct {
	cluster.RemoveOptions
	output choice
}

const nodeRemoveLong = `Removes nodes from a cluster that runs, one after the other: a node is cordoned
and drained, as PodDisruptionBudgets allow. A control plane then gets no new
connections, its API server ends and sends its clients elsewhere, and its member
of etcd goes. The node of the API follows, and its machine with all volumes.

A node that is stopped or dead is not drained; its pods start elsewhere at once.

What is refused: to remove the last control plane (kluster delete removes the
cluster), to leave etcd without a majority of members that answer, to lose
persistent volumes or pods that nothing brings back. --force does these last
three. Budgets count with --force, too: a node that is stopped first has none.

Until the member of etcd has gone, an interruption leaves the node as it was,
but for pods that were evicted; from then on the removal goes on to the end.
What one that was killed has left, removing the same node again removes.`

const nodeRemoveExample = `  kluster node remove worker-2
  kluster node remove mine-control-plane-3 --timeout 10m -o json`

func newNodeRemoveCmd(a *app, runs ...func(context.Context, *app, *nodeRemoveOptions) error) *cobra.Command {
	opts, run := &nodeRemoveOptions{}, runNodeRemove
	if len(runs) > 0 {
		run = runs[0]
	}
	cmd := &cobra.Command{
		Use:     "remove NODE...",
		Aliases: []string{"rm"},
		Short:   "Drain nodes and remove them from their cluster",
		Long:    nodeRemoveLong + nodesWords,
		Example: nodeRemoveExample,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return usageError(cmd, "which nodes? kluster get nodes lists them")
			case opts.Timeout <= 0:
				return usageError(cmd, "--timeout %v: must be more than 0", opts.Timeout)
			}
			opts.Nodes = args
			return run(cmd.Context(), a, opts)
		},
		ValidArgsFunction: a.moreNodeNames,
	}
	a.addCluster(cmd, &opts.Cluster)
	f := cmd.Flags()
	f.BoolVar(&opts.Force, "force", false, "also leave etcd without a majority, and lose pods and volumes that nothing brings back")
	f.DurationVar(&opts.Timeout, "timeout", lifeTime, "how long each node may take, its drain included")
	addChoice(cmd, &opts.output, "output", "o", "how to print", formatName, formatJSON)
	return cmd
}

// nodesWords says what names of nodes may be.
const nodesWords = `

NODE is a node's name, or what follows the cluster's name in it.`

func runNodeRemove(ctx context.Context, a *app, opts *nodeRemoveOptions) error {
	clusters, err := a.manager(ctx)
	if err != nil {
		return err
	}
	remove := opts.RemoveOptions
	remove.Nodes = nil
	for _, wanted := range opts.Nodes {
		n, err := findNode(ctx, clusters, remove.Cluster, wanted)
		var gone *cluster.NotFoundError
		if errors.As(err, &gone) && gone.Kind == "node" {
			// Its machine may have gone, and more of it be left.
			if n.Cluster, err = clusters.Only(ctx, remove.Cluster); err == nil {
				n.Name = wanted
			}
		}
		if err != nil {
			return err
		}
		remove.Cluster, remove.Nodes = n.Cluster, append(remove.Nodes, n.Name)
	}
	remove.OnStep = a.signalAt()
	began := time.Now()
	removed, err := clusters.RemoveNodes(ctx, remove)
	if err == nil {
		a.reporter().Note("cluster %s has %s less after %s", remove.Cluster, counted(len(removed)), status.Short(time.Since(began)))
	}
	a.close()
	if opts.output.value == formatJSON {
		return errors.Join(err, printJSON(a.streams.Out, listOf(removed)))
	}
	names := make([]string, 0, len(removed))
	for _, n := range removed {
		names = append(names, n.Node)
	}
	return a.printNames(names, err)
}
