package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kluster-project/kluster/internal/cluster"
	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/status"
)

// nodeAddOptions are the flags of "node add".
type nodeAddOptions struct {
	cluster.AddOptions
	role, output choice
}

const nodeAddLong = `Adds nodes to a cluster that runs. They get names and fixed addresses that are
free, and what the nodes have that are there: mirrors, authorities, credentials
and proxies, and patches of the whole cluster. Workers start all at once;
control planes join one after the other, each with a member of etcd that learns
before it votes. All nodes' proxies and the load balancer know a new control
plane when it serves; no connection ends for it.

A node is made of an image that the cluster has and that holds its runtime, or
of --image. Images that kluster load has brought into the other nodes, and
patches of single nodes, are not on it.

An add that fails or is interrupted removes what it has made: machines, members
of etcd, nodes of the API. What one that was killed has left the next one
removes. One process at a time changes the nodes of a cluster.`

const nodeAddExample = `  kluster node add
  kluster node add --count 2 --runtime cri-o
  kluster node add --role control-plane --count 2 -o json`

func newNodeAddCmd(a *app, runs ...func(context.Context, *app, *nodeAddOptions) error) *cobra.Command {
	opts, run := &nodeAddOptions{}, runNodeAdd
	if len(runs) > 0 {
		run = runs[0]
	}
	cmd := &cobra.Command{
		Use:     "add",
		Short:   "Add nodes to a cluster that runs",
		Long:    nodeAddLong,
		Example: nodeAddExample,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.Wait <= 0 {
				return usageError(cmd, "--wait %v: must be more than 0", opts.Wait)
			}
			opts.Role = nodespec.Role(opts.role.value)
			return run(cmd.Context(), a, opts)
		},
	}
	a.addCluster(cmd, &opts.Cluster)
	addChoice(cmd, &opts.role, "role", "", "what they are", string(nodespec.RoleWorker), string(nodespec.RoleControlPlane))
	f := cmd.Flags()
	f.IntVar(&opts.Count, "count", 1, "how many")
	f.StringVar(&opts.Runtime, "runtime", "", "container runtime: "+strings.Join(cri.Names(), ", ")+" (default: that of the first control plane)")
	f.StringVar(&opts.OCIRuntime, "oci-runtime", "", "OCI runtime: "+strings.Join(cri.OCINames(), ", ")+" (default: that of the first control plane, if it has the same container runtime)")
	f.StringVar(&opts.Image, "image", "", "node image (default: one of the cluster's that holds the runtime)")
	f.DurationVar(&opts.Wait, "wait", 5*time.Minute, "how long to wait until they are ready")
	addChoice(cmd, &opts.output, "output", "o", "how to print", formatName, formatJSON)
	complete(cmd, "runtime", a.runtimeNames)
	complete(cmd, "oci-runtime", a.ociRuntimeNames)
	complete(cmd, "image", a.imageNames)
	return cmd
}

// imageNames completes node images.
func (a *app) imageNames(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return a.ask(cmd, func(ctx context.Context, clusters Clusters) ([]string, error) {
		images, err := clusters.Images(ctx)
		names := make([]string, 0, len(images))
		for _, i := range images {
			names = append(names, i.Ref)
		}
		return names, err
	})
}

func runNodeAdd(ctx context.Context, a *app, opts *nodeAddOptions) error {
	clusters, name, err := a.existing(ctx, opts.Cluster)
	if err != nil {
		return err
	}
	add := opts.AddOptions
	add.Cluster, add.OnStep = name, a.signalAt()
	began := time.Now()
	added, err := clusters.AddNodes(ctx, add)
	if err != nil {
		return err
	}
	for _, note := range added.Notes {
		a.reporter().Note("%s", note)
	}
	a.reporter().Note("cluster %s has %s more after %s", name, counted(len(added.Nodes)), status.Short(time.Since(began)))
	a.close()
	if opts.output.value == formatJSON {
		return printJSON(a.streams.Out, added)
	}
	names := make([]string, 0, len(added.Nodes))
	for _, n := range added.Nodes {
		names = append(names, n.Name)
	}
	return a.printNames(names, nil)
}

// counted is a number of nodes in words.
func counted(n int) string {
	if n == 1 {
		return "1 node"
	}
	return fmt.Sprintf("%d nodes", n)
}
