package cli

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kluster-project/kluster/internal/cluster"
	"github.com/kluster-project/kluster/provider"
)

// execOptions are the flags and arguments of "exec".
type execOptions struct {
	cluster     string
	node        string
	command     []string
	interactive bool
	tty         bool
}

const execLong = `Runs a command in a node, as root, and ends with its exit code. NODE is a node's
name, or what follows the cluster's name in it.`

func newExecCmd(a *app, runs ...func(context.Context, *app, *execOptions) error) *cobra.Command {
	opts, run := &execOptions{}, runExec
	if len(runs) > 0 {
		run = runs[0]
	}
	cmd := &cobra.Command{
		Use:     "exec NODE -- COMMAND [ARGS...]",
		Short:   "Run a command in a node",
		Long:    execLong,
		Example: "  kluster exec kluster-control-plane-1 -- crictl ps\n  kluster exec -it control-plane-1 -- bash",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 || cmd.ArgsLenAtDash() > 1 {
				return usageError(cmd, "exec needs one node and a command: kluster exec NODE -- COMMAND")
			}
			opts.node, opts.command = args[0], args[1:]
			return run(cmd.Context(), a, opts)
		},
		ValidArgsFunction: a.nodeNames,
	}
	a.addCluster(cmd, &opts.cluster)
	cmd.Flags().BoolVarP(&opts.interactive, "stdin", "i", false, "pass standard input on")
	cmd.Flags().BoolVarP(&opts.tty, "tty", "t", false, "give the command a terminal")
	return cmd
}

func runExec(ctx context.Context, a *app, opts *execOptions) error {
	clusters, err := a.manager(ctx)
	if err != nil {
		return err
	}
	node, err := findNode(ctx, clusters, opts.cluster, opts.node)
	if err != nil {
		return err
	}
	command := provider.Command{Args: opts.command, Stdout: a.streams.Out, Stderr: a.streams.Err}
	if opts.interactive {
		command.Stdin = a.streams.In
	}
	return a.execIn(ctx, clusters, node, command, opts.tty)
}

// execIn runs a command in a node, on the user's terminal if tty is set. A
// command that ended badly gives an exitStatus.
func (a *app) execIn(ctx context.Context, clusters Clusters, node cluster.NodeInfo, command provider.Command, tty bool) error {
	if tty {
		restore, err := a.attachTerminal(ctx, &command)
		if err != nil {
			return err
		}
		defer restore()
	}
	err := clusters.Exec(ctx, node.Cluster, node.Name, command)
	if ended, ok := errors.AsType[*provider.ExecError](err); ok && ended.Code != 0 && ctx.Err() == nil {
		return exitStatus(ended.Code)
	}
	return err
}

// findNode finds a node by its name or by the part behind the cluster's name:
// in the named cluster, else in all, where only a full name will do when there
// are several.
func findNode(ctx context.Context, clusters Clusters, clusterName, node string) (cluster.NodeInfo, error) {
	if clusterName == "" {
		all, err := clusters.Nodes(ctx, "")
		if err != nil {
			return cluster.NodeInfo{}, err
		}
		for _, n := range all {
			if n.Name == node {
				return n, nil
			}
		}
	}
	clusterName, err := clusters.Only(ctx, clusterName)
	if err != nil {
		return cluster.NodeInfo{}, err
	}
	nodes, err := clusters.Nodes(ctx, clusterName)
	if err != nil {
		return cluster.NodeInfo{}, err
	}
	known := make([]string, 0, len(nodes))
	for _, n := range nodes {
		if n.Name == node || strings.TrimPrefix(n.Name, clusterName+"-") == node {
			return n, nil
		}
		known = append(known, n.Name)
	}
	return cluster.NodeInfo{}, &cluster.NotFoundError{Kind: "node", Name: node, Known: known}
}
