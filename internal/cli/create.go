package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kluster-project/kluster/internal/cluster"
	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/status"
)

// createOptions are the flags of "create".
type createOptions struct {
	flags      config.Flags
	file       string
	kubeconfig string
	wait       time.Duration
	retain     bool
	trace      string
	output     choice
}

const createLong = `Creates a cluster and returns when all of its nodes are Ready and a pod can
resolve names. The node image is built first when there is none. A context named
kluster-NAME is merged into the kubeconfig.

--nodes 1 gives one control plane; 2 a control plane and a worker; 3 or more
three control planes that also take pods, the rest workers. --control-planes and
--workers say how many of each instead, and a file (--config) everything else;
a kind configuration file is accepted as it is.

--runtime and --oci-runtime say what runs the containers of all nodes; in a file
each node can have its own.

--addon installs an add-on (kluster addon list) before create returns.

--ephemeral is for CI: etcd does not wait for the disk, and of each container
some 2 MiB of logs are kept. Such a cluster does not survive a power cut or a
crash of the host; a node that is killed or restarted still loses nothing.

--hardened refuses pods beyond Pod Security's "baseline" in namespaces whose
labels say nothing else, encrypts Secrets in etcd, has API servers verify
kubelets, and answers anonymous requests for health alone (docs/security.md).

--port 8080:80 publishes a port of the cluster's Services of type LoadBalancer
on 127.0.0.1: port 8080 of the host then leads to port 80 of the first of them
that answers there. A Linux host reaches them by their own addresses, too.

--registry and --cache make use of a local registry and of pull-through caches,
which are made when there are none and stay when the cluster goes (see kluster
registry).

--trace FILE writes when each step of each node began and ended, as a Chrome
trace, and prints the chain of what the end had to wait for.

When a create fails or is interrupted, whatever it made is removed again, unless
--retain is given.`

const createExample = `  kluster create --nodes 3
  kluster create --name two --control-planes 1 --workers 2
  kluster create --runtime cri-o --oci-runtime crun
  kluster create --addon metrics-server
  kluster create --nodes 3 --port 8080:80 --port 8443:443
  kluster create --config cluster.yaml
  kluster create --config - < kind.yaml`

func newCreateCmd(a *app, runs ...func(context.Context, *app, *createOptions) error) *cobra.Command {
	opts, run := &createOptions{}, runCreate
	if len(runs) > 0 {
		run = runs[0]
	}
	var nodes, controlPlanes, workers int
	var ephemeral, hardened bool
	cmd := &cobra.Command{
		Use:     "create",
		Short:   "Create a cluster",
		Long:    createLong,
		Example: createExample,
		Args:    clusterWord(noArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts.flags.Nodes = given(cmd, "nodes", &nodes)
			opts.flags.ControlPlanes = given(cmd, "control-planes", &controlPlanes)
			opts.flags.Workers = given(cmd, "workers", &workers)
			opts.flags.Ephemeral = given(cmd, "ephemeral", &ephemeral)
			opts.flags.Hardened = given(cmd, "hardened", &hardened)
			return a.traced(cmd.Context(), opts.trace, func(ctx context.Context) error { return run(ctx, a, opts) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&opts.flags.Name, "name", "", "name of the cluster (default: the file's, else kluster)")
	f.IntVar(&nodes, "nodes", 0, "number of nodes")
	f.IntVar(&controlPlanes, "control-planes", 0, "number of control planes: 1, 3, 5 or 7")
	f.IntVar(&workers, "workers", 0, "number of workers")
	f.StringVarP(&opts.file, "config", "f", "", "configuration `FILE`, - for standard input")
	f.StringVar(&opts.flags.Image, "image", "", "node image (default: the one of the Kubernetes version)")
	f.StringVar(&opts.flags.KubernetesVersion, "kubernetes-version", "", "Kubernetes version (default: the newest that kluster knows)")
	f.StringVar(&opts.flags.Runtime, "runtime", "", "container runtime of all nodes: "+strings.Join(cri.Names(), ", ")+" (default: the file's, else "+cri.Default+")")
	f.StringVar(&opts.flags.OCIRuntime, "oci-runtime", "", "OCI runtime of all nodes: "+strings.Join(cri.OCINames(), ", ")+" (default: the file's, else runc)")
	f.StringArrayVar(&opts.flags.Mirrors, "registry-mirror", nil, "`REGISTRY=URL` to ask for images of a registry before itself; several times for several")
	f.BoolVar(&ephemeral, "ephemeral", false, "spare the disk: etcd does not wait for it, container logs are short")
	f.BoolVar(&hardened, "hardened", false, "refuse and hide more: Pod Security baseline, encrypted Secrets, verified kubelets")
	f.StringSliceVar(&opts.flags.Addons, "addon", nil, "install this add-on too (repeatable)")
	f.StringArrayVarP(&opts.flags.Ports, "port", "p", nil, "port of the host for Services of type LoadBalancer: `[ADDRESS:]HOSTPORT:PORT`, also with @loadbalancer behind it (repeatable)")
	f.BoolVar(&opts.flags.Registry, "registry", false, "share the local registry: what is pushed to localhost:5001 can be used by that name")
	f.StringArrayVar(&opts.flags.Caches, "cache", nil, cacheUsage)
	f.StringVar(&opts.kubeconfig, "kubeconfig", "", "`FILE` to merge the context into (default: $KUBECONFIG or ~/.kube/config)")
	f.DurationVar(&opts.wait, "wait", 5*time.Minute, "how long to wait for the nodes")
	f.BoolVar(&opts.retain, "retain", false, "keep what a failed create has made")
	f.StringVar(&opts.trace, "trace", "", "`FILE` for a trace of what took how long, for ui.perfetto.dev or chrome://tracing")
	addChoice(cmd, &opts.output, "output", "o", "how to print", formatName, formatJSON)
	complete(cmd, "kubernetes-version", a.kubernetesVersions)
	complete(cmd, "runtime", a.runtimeNames)
	complete(cmd, "oci-runtime", a.ociRuntimeNames)
	complete(cmd, "addon", a.addonNames)
	addListSteps(a, cmd)
	return cmd
}

// given is value if the flag was on the command line, else nil.
func given[T any](cmd *cobra.Command, flag string, value *T) *T {
	if cmd.Flags().Changed(flag) {
		return value
	}
	return nil
}

// clusterWord lets "cluster" stand before the arguments: people's fingers know
// "kind create cluster".
func clusterWord(args cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, words []string) error { return args(cmd, dropClusterWord(words)) }
}

func dropClusterWord(words []string) []string {
	if len(words) > 0 && words[0] == "cluster" {
		return words[1:]
	}
	return words
}

func runCreate(ctx context.Context, a *app, opts *createOptions) error {
	if opts.wait <= 0 {
		return badInput("--wait %v: must be more than 0", opts.wait)
	}
	step := stepOf(ctx, "configuration")
	cfg, err := a.loadConfig(opts)
	step.EndWith(err)
	if err != nil {
		return err
	}
	step = stepOf(ctx, "engine")
	clusters, err := a.manager(ctx)
	step.EndWith(err)
	if err != nil {
		return err
	}
	step = stepOf(ctx, "inotify")
	err = a.raiseInotify()
	step.EndWith(err)
	if err != nil {
		return err
	}
	summary, err := clusters.Create(ctx, cluster.CreateOptions{
		Config: cfg, Wait: opts.wait, Retain: opts.retain, Kubeconfig: opts.kubeconfig,
		OnStep: a.signalAt(),
	})
	if err != nil {
		return err
	}
	return a.printSummary(summary, opts)
}

// raiseInotify tells what was raised as any other line of talk.
func (a *app) raiseInotify() error {
	if a.deps.RaiseInotify == nil {
		return nil
	}
	var told strings.Builder
	err := a.deps.RaiseInotify(&told)
	if told.Len() > 0 {
		a.reporter().Note("%s", told.String())
	}
	return err
}

func (a *app) printSummary(s *cluster.Summary, opts *createOptions) error {
	for _, note := range s.Notes {
		a.reporter().Note("%s", note)
	}
	a.reporter().Note("cluster %q with %s is ready after %s; try: %s",
		s.Name, nodesInWords(countNodes(s.Nodes)), status.Short(s.Took), advice(s, opts.kubeconfig))
	a.close()
	if opts.output.value == formatJSON {
		return printJSON(a.streams.Out, s)
	}
	_, err := fmt.Fprintln(a.streams.Out, s.Name)
	return err
}
