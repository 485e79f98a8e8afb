package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/kluster-project/kluster/internal/cluster"
	"github.com/kluster-project/kluster/internal/kubeconfig"
)

const getKubeconfigLong = `Prints a kubeconfig that gives full power over the cluster: keep it safe.
With --internal its server is the one that containers on the cluster's own
network reach.

With --user it is that of a user of this name and the groups of --group, who may
do what roles grant to them, and nothing else. The cluster signs a certificate,
which is good until it expires: nothing takes it back before. Its key is made
here and is nowhere but in what is printed, or in the file of --out, which only
its owner can read.`

const getKubeconfigExample = `  kluster get kubeconfig --out admin.conf
  kluster get kubeconfig --user dev --group readers --expires 8h --out dev.conf`

// kubeconfigOptions are the flags of "get kubeconfig".
type kubeconfigOptions struct {
	user   cluster.UserOptions
	out    string
	output choice
}

func newGetKubeconfigCmd(a *app) *cobra.Command {
	opts := &kubeconfigOptions{}
	cmd := &cobra.Command{
		Use:     "kubeconfig",
		Short:   "Print a cluster's kubeconfig",
		Long:    getKubeconfigLong,
		Example: getKubeconfigExample,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, flag := range []string{"group", "expires"} {
				if cmd.Flags().Changed(flag) && !cmd.Flags().Changed("user") {
					return usageError(cmd, "--%s is for a --user", flag)
				}
			}
			return runGetKubeconfig(cmd.Context(), a, opts, cmd.Flags().Changed("user"))
		},
	}
	a.addCluster(cmd, &opts.user.Cluster)
	f := cmd.Flags()
	f.BoolVar(&opts.user.Internal, "internal", false, "for use inside the cluster's network")
	f.StringVar(&opts.user.User, "user", "", "`NAME` of a user who may do what roles grant")
	f.StringSliceVar(&opts.user.Groups, "group", nil, "`GROUP` that the user is in (repeatable)")
	f.DurationVar(&opts.user.Expires, "expires", 24*time.Hour, "how long the user's kubeconfig is good for")
	f.StringVar(&opts.out, "out", "", "`FILE` to write it to, for its owner alone, in place of printing it")
	addChoice(cmd, &opts.output, "output", "o", "how to print; name is the context's", formatYAML, formatJSON, formatName)
	return cmd
}

func runGetKubeconfig(ctx context.Context, a *app, opts *kubeconfigOptions, limited bool) error {
	clusters, name, err := a.existing(ctx, opts.user.Cluster)
	if err != nil {
		return err
	}
	opts.user.Cluster = name
	var conf []byte
	contextName := cluster.ContextName(name)
	if limited {
		contextName = cluster.UserContextName(name, opts.user.User)
		conf, err = clusters.UserKubeconfig(ctx, opts.user)
	} else {
		conf, err = clusters.Kubeconfig(ctx, name, opts.user.Internal)
	}
	if err != nil {
		return err
	}
	if opts.out == "" {
		return printKubeconfig(a.streams.Out, opts.output.value, contextName, conf)
	}
	var text bytes.Buffer
	if err := printKubeconfig(&text, opts.output.value, contextName, conf); err != nil {
		return err
	}
	return kubeconfig.Save(opts.out, text.Bytes())
}

func printKubeconfig(w io.Writer, format, contextName string, conf []byte) error {
	switch format {
	case formatJSON:
		compact, err := yaml.YAMLToJSON(conf)
		if err != nil {
			return fmt.Errorf("turning the kubeconfig into JSON: %w", err)
		}
		return printJSON(w, json.RawMessage(compact))
	case formatName:
		_, err := fmt.Fprintln(w, contextName)
		return err
	default:
		_, err := w.Write(conf)
		return err
	}
}
