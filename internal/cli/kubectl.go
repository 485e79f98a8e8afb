package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/kluster-project/kluster/internal/cluster"
	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/provider"
)

// kubectlOptions are the flags and arguments of "kubectl".
type kubectlOptions struct {
	cluster string
	save    string
	args    []string
}

const kubectlLong = `Runs kubectl against a cluster: the one beside kluster or on the PATH if it is
of the cluster's minor version, else the cluster's own, in a control plane,
where files of the host cannot be seen (use -f - and standard input). With
--save it runs nothing and writes the cluster's own kubectl to a file.`

func newKubectlCmd(a *app, runs ...func(context.Context, *app, *kubectlOptions) error) *cobra.Command {
	opts, run := &kubectlOptions{}, runKubectl
	if len(runs) > 0 {
		run = runs[0]
	}
	cmd := &cobra.Command{
		Use:     "kubectl -- [ARGS...]",
		Short:   "Run kubectl against a cluster",
		Long:    kubectlLong,
		Example: "  kluster kubectl -- get pods -A\n  kluster kubectl -- apply -f - < app.yaml\n  kluster kubectl --save bin/kubectl",
		RunE: func(cmd *cobra.Command, args []string) error {
			if opts.save != "" && len(args) > 0 {
				return usageError(cmd, "--save runs nothing: leave out %q", args[0])
			}
			opts.args = args
			return run(cmd.Context(), a, opts)
		},
	}
	// Flags behind the first word are kubectl's, with or without "--".
	cmd.Flags().SetInterspersed(false)
	a.addCluster(cmd, &opts.cluster)
	cmd.Flags().StringVar(&opts.save, "save", "", "write the cluster's own kubectl to `FILE`")
	return cmd
}

func runKubectl(ctx context.Context, a *app, opts *kubectlOptions) error {
	clusters, name, err := a.existing(ctx, opts.cluster)
	if err != nil {
		return err
	}
	if opts.save != "" {
		return saveKubectl(ctx, a, clusters, name, opts.save)
	}
	version, err := versionOf(ctx, clusters, name)
	if err != nil {
		return err
	}
	if path := a.hostKubectl(ctx, version); path != "" {
		return a.runHostKubectl(ctx, clusters, name, path, opts.args)
	}
	node, err := controlPlane(ctx, clusters, name)
	if err != nil {
		return err
	}
	command := provider.Command{
		Args:   append([]string{"kubectl", "--kubeconfig", cluster.AdminConf}, opts.args...),
		Stdout: a.streams.Out, Stderr: a.streams.Err,
	}
	tty := a.wantsTerminal(opts.args)
	if tty || wantsInput(opts.args) {
		command.Stdin = a.streams.In
	}
	return a.execIn(ctx, clusters, node, command, tty)
}

func controlPlane(ctx context.Context, clusters Clusters, name string) (cluster.NodeInfo, error) {
	node, err := clusters.ControlPlane(ctx, name)
	return cluster.NodeInfo{Cluster: name, Name: node}, err
}

func versionOf(ctx context.Context, clusters Clusters, name string) (string, error) {
	infos, err := clusters.List(ctx)
	if err != nil {
		return "", err
	}
	for _, info := range infos {
		if info.Name == name {
			return info.Kubernetes, nil
		}
	}
	return "", &cluster.NotFoundError{Kind: "cluster", Name: name}
}

// saveKubectl copies kubectl out of a node. The file appears only whole.
func saveKubectl(ctx context.Context, a *app, clusters Clusters, name, path string) (err error) {
	node, err := controlPlane(ctx, clusters, name)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".kubectl-*")
	if err != nil {
		return failure.With(fmt.Errorf("saving kubectl: %w", err), failure.Exit(failure.CodeUsage))
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("saving kubectl: %w", err), f.Close(), os.Remove(f.Name()))
		}
	}()
	cat := provider.Command{Args: []string{"sh", "-c", `exec cat "$(command -v kubectl)"`}, Stdout: f}
	if err := clusters.Exec(ctx, node.Cluster, node.Name, cat); err != nil {
		return err
	}
	if err := f.Chmod(0o755); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	_, _ = fmt.Fprintln(a.streams.Out, path)
	return nil
}
