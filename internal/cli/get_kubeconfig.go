package cli

import (
	"context"

	"github.com/spf13/cobra"
)

const getKubeconfigLong = `Prints a kubeconfig that gives full power over the cluster: keep it safe.
With --internal its server is the one that containers on the cluster's own
network reach.`

func newGetKubeconfigCmd(a *app) *cobra.Command {
	var name string
	var internal bool
	cmd := &cobra.Command{
		Use:   "kubeconfig",
		Short: "Print a cluster's kubeconfig",
		Long:  getKubeconfigLong,
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runGetKubeconfig(cmd.Context(), a, name, internal) },
	}
	a.addCluster(cmd, &name)
	cmd.Flags().BoolVar(&internal, "internal", false, "for use inside the cluster's network")
	return cmd
}

func runGetKubeconfig(ctx context.Context, a *app, name string, internal bool) error {
	clusters, name, err := a.existing(ctx, name)
	if err != nil {
		return err
	}
	conf, err := clusters.Kubeconfig(ctx, name, internal)
	if err != nil {
		return err
	}
	_, err = a.streams.Out.Write(conf)
	return err
}
