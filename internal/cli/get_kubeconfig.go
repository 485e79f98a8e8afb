package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/kluster-project/kluster/internal/cluster"
)

const getKubeconfigLong = `Prints a kubeconfig that gives full power over the cluster: keep it safe.
With --internal its server is the one that containers on the cluster's own
network reach.`

func newGetKubeconfigCmd(a *app) *cobra.Command {
	var name string
	var internal bool
	var output choice
	cmd := &cobra.Command{
		Use:   "kubeconfig",
		Short: "Print a cluster's kubeconfig",
		Long:  getKubeconfigLong,
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runGetKubeconfig(cmd.Context(), a, name, internal, output.value)
		},
	}
	a.addCluster(cmd, &name)
	cmd.Flags().BoolVar(&internal, "internal", false, "for use inside the cluster's network")
	addChoice(cmd, &output, "output", "o", "how to print; name is the context's", formatYAML, formatJSON, formatName)
	return cmd
}

func runGetKubeconfig(ctx context.Context, a *app, name string, internal bool, format string) error {
	clusters, name, err := a.existing(ctx, name)
	if err != nil {
		return err
	}
	conf, err := clusters.Kubeconfig(ctx, name, internal)
	if err != nil {
		return err
	}
	return printKubeconfig(a.streams.Out, format, name, conf)
}

func printKubeconfig(w io.Writer, format, name string, conf []byte) error {
	switch format {
	case formatJSON:
		compact, err := yaml.YAMLToJSON(conf)
		if err != nil {
			return fmt.Errorf("turning the kubeconfig into JSON: %w", err)
		}
		return printJSON(w, json.RawMessage(compact))
	case formatName:
		_, err := fmt.Fprintln(w, cluster.ContextName(name))
		return err
	default:
		_, err := w.Write(conf)
		return err
	}
}
