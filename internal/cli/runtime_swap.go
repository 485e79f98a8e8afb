package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kluster-project/kluster/internal/cluster"
	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/status"
)

// runtimeSwapOptions are the flags of "runtime swap".
type runtimeSwapOptions struct {
	cluster.SwapOptions
	all    bool
	output choice
}

const runtimeSwapLong = `Gives nodes of a live cluster another container runtime, one node after the
other: it is cordoned and drained, its kubelet, pods and runtime are stopped,
the new runtime and the kubelet are started, and when it is Ready again it takes
pods as before. Name, address, certificates and etcd's data stay. With three
control planes the API stays, too.

Pods are evicted as their PodDisruptionBudgets allow; static pods and those of
daemon sets start again on the new runtime. A swap that cannot go well is
refused before anything is changed: a runtime that the node's image does not
hold (kluster runtime list shows which it does), a node that is down, the only
node, a budget that forbids the drain, pods that nothing brings back, another
swap of the cluster that is under way.

A node whose swap fails, takes too long or is interrupted gets back what it had;
nodes that are through keep what they got.`

const runtimeSwapExample = `  kluster runtime swap --to cri-o --all
  kluster runtime swap --to containerd --oci-runtime crun --node worker-1`

func newRuntimeSwapCmd(a *app, runs ...func(context.Context, *app, *runtimeSwapOptions) error) *cobra.Command {
	opts, run := &runtimeSwapOptions{}, runRuntimeSwap
	if len(runs) > 0 {
		run = runs[0]
	}
	cmd := &cobra.Command{
		Use:     "swap --to RUNTIME (--node NODE | --all)",
		Short:   "Give nodes of a live cluster another container runtime",
		Long:    runtimeSwapLong,
		Example: runtimeSwapExample,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case opts.Runtime == "":
				return usageError(cmd, "swap to what? give --to, one of: %s", strings.Join(cri.Names(), ", "))
			case opts.all == (len(opts.Nodes) > 0):
				return usageError(cmd, "say which nodes: either --node NODE or --all")
			case opts.Timeout <= 0:
				return usageError(cmd, "--timeout %v: must be more than 0", opts.Timeout)
			}
			return run(cmd.Context(), a, opts)
		},
	}
	a.addCluster(cmd, &opts.Cluster)
	f := cmd.Flags()
	f.StringVar(&opts.Runtime, "to", "", "container runtime: "+strings.Join(cri.Names(), ", "))
	f.StringVar(&opts.OCIRuntime, "oci-runtime", "", "OCI runtime: "+strings.Join(cri.OCINames(), ", ")+" (default: the node's own)")
	f.StringSliceVar(&opts.Nodes, "node", nil, "only this node (repeatable)")
	f.BoolVar(&opts.all, "all", false, "all nodes, one after the other")
	f.BoolVar(&opts.Force, "force", false, "swap also the only node of a cluster, and delete pods that nothing brings back")
	f.DurationVar(&opts.Timeout, "timeout", 5*time.Minute, "how long each node may take, its drain included")
	addChoice(cmd, &opts.output, "output", "o", "how to print", formatName, formatJSON)
	complete(cmd, "to", a.runtimeNames)
	complete(cmd, "oci-runtime", a.ociRuntimeNames)
	complete(cmd, "node", func(cmd *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
		return a.nodeNames(cmd, nil, prefix)
	})
	return cmd
}

func runRuntimeSwap(ctx context.Context, a *app, opts *runtimeSwapOptions) error {
	clusters, name, err := a.existing(ctx, opts.Cluster)
	if err != nil {
		return err
	}
	swap := opts.SwapOptions
	swap.Cluster, swap.Nodes, swap.OnStep = name, nil, a.signalAt()
	for _, wanted := range opts.Nodes {
		node, err := findNode(ctx, clusters, name, wanted)
		if err != nil {
			return err
		}
		swap.Nodes = append(swap.Nodes, node.Name)
	}
	began := time.Now()
	done, err := clusters.SwapRuntime(ctx, swap)
	if err == nil {
		a.reporter().Note("%s after %s", swappedInWords(done), status.Short(time.Since(began)))
	}
	a.close()
	return errors.Join(err, a.printSwapped(done, opts.output.value))
}

// swappedInWords counts the nodes that were swapped.
func swappedInWords(done []cluster.Swapped) string {
	n := 0
	for _, s := range done {
		if s.Swapped {
			n++
		}
	}
	if n == 1 {
		return "1 node swapped"
	}
	return fmt.Sprintf("%d nodes swapped", n)
}

// printSwapped prints the nodes that are through.
func (a *app) printSwapped(done []cluster.Swapped, format string) error {
	if format == formatJSON {
		return printJSON(a.streams.Out, listOf(done))
	}
	for _, s := range done {
		if !s.Swapped {
			continue
		}
		if _, err := fmt.Fprintln(a.streams.Out, s.Node); err != nil {
			return fmt.Errorf("printing the result: %w", err)
		}
	}
	return nil
}
