package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/kluster-project/kluster/internal/cluster"
	"github.com/kluster-project/kluster/internal/status"
)

// lifeTime bounds a verb on the life of a cluster, unless another time is given.
const lifeTime = 5 * time.Minute

// lifeOptions are the flags and the arguments of these verbs.
type lifeOptions struct {
	cluster.LifeOptions
	output choice
}

// lifeVerb is one of them, with its words.
type lifeVerb struct {
	verb        cluster.LifeVerb
	done        string // "stopped"
	short, long string
}

// The verbs on whole clusters.
var (
	stopLife = lifeVerb{
		cluster.Stop, "stopped", "Stop all machines of a cluster, which keep what they have",
		`Stops all machines of a cluster at once. Names, addresses, ports, volumes and
images stay: kluster start makes it the same cluster again, also after the
engine or the host were restarted. Nothing starts a cluster that was stopped
but that.

Shared registries go on. A cluster that is paused is let go on first, for what
is paused does not hear that it shall stop.`,
	}
	startLife = lifeVerb{
		cluster.Start, "ready", "Start all machines of a cluster, and wait until it is ready",
		`Starts the machines of a cluster that do not run, all at once, with the shared
registries that it uses, and waits until every node has said since that it is
Ready and every API server serves. Machines that are paused go on.

It is the same cluster: addresses, ports, certificates and data are those from
before. An --ephemeral cluster can be stopped and started like any other; what
it does not survive is a power cut or a crash of the host, after which its etcd
may not start.`,
	}
	restartLife = lifeVerb{
		cluster.Restart, "ready", "Stop and start all machines of a cluster, and wait until it is ready",
		`Stops all machines of a cluster at once, starts them at once, and waits as
kluster start does. Addresses, ports and data stay.`,
	}
	pauseLife = lifeVerb{
		cluster.Pause, "paused", "Freeze all machines of a cluster, which then use no processor",
		`Freezes every process of a cluster where it is. It keeps its memory and uses no
processor; connections to it stay open and are not answered. kluster resume
lets it go on.`,
	}
	resumeLife = lifeVerb{
		cluster.Resume, "ready", "Let a paused cluster go on, and wait until it is ready",
		`Lets the machines of a cluster that are paused go on, and waits until every node
was heard of since and is Ready. Machines that are stopped stay so.`,
	}
)

func newLifeCmd(a *app, v lifeVerb, runs ...func(context.Context, *app, lifeVerb, *lifeOptions) error) *cobra.Command {
	opts, run := &lifeOptions{}, runLife
	if len(runs) > 0 {
		run = runs[0]
	}
	cmd := &cobra.Command{
		Use:     string(v.verb) + " [NAME]",
		Short:   v.short,
		Long:    v.long + "\n\nWithout NAME it is the only cluster there is. What is so already is no error.",
		Example: fmt.Sprintf("  kluster %[1]s\n  kluster %[1]s mine --timeout 10m -o json", v.verb),
		Args:    atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				if opts.Cluster != "" && opts.Cluster != args[0] {
					return usageError(cmd, "two names were given: %q and %q", opts.Cluster, args[0])
				}
				opts.Cluster = args[0]
			}
			return runTimed(cmd, a, v, opts, run)
		},
		ValidArgsFunction: a.clusterNames,
	}
	cmd.Flags().StringVar(&opts.Cluster, "cluster", "", "the same as NAME")
	complete(cmd, "cluster", a.clusterNames)
	addLifeFlags(cmd, opts)
	return cmd
}

// addLifeFlags adds those that verbs on clusters and on nodes share.
func addLifeFlags(cmd *cobra.Command, opts *lifeOptions) {
	cmd.Flags().DurationVar(&opts.Timeout, "timeout", lifeTime, "how long it may take, waits included")
	addChoice(cmd, &opts.output, "output", "o", "how to print", formatName, formatJSON)
}

func runTimed(cmd *cobra.Command, a *app, v lifeVerb, opts *lifeOptions, run func(context.Context, *app, lifeVerb, *lifeOptions) error) error {
	if opts.Timeout <= 0 {
		return usageError(cmd, "--timeout %v: must be more than 0", opts.Timeout)
	}
	opts.Verb = v.verb
	return run(cmd.Context(), a, v, opts)
}

func runLife(ctx context.Context, a *app, v lifeVerb, opts *lifeOptions) error {
	clusters, name, err := a.existing(ctx, opts.Cluster)
	if err != nil {
		return err
	}
	life := opts.LifeOptions
	life.Cluster = name
	return a.live(ctx, clusters, v, life, opts.output.value)
}

// live does it, and prints what became of what.
func (a *app) live(ctx context.Context, clusters Clusters, v lifeVerb, opt cluster.LifeOptions, format string) error {
	opt.OnStep = a.signalAt()
	began := time.Now()
	result, err := clusters.Life(ctx, opt)
	if result == nil {
		return err
	}
	if err == nil {
		a.tellLife(v, opt, result, time.Since(began))
	}
	a.close()
	return errors.Join(err, a.printLife(result, opt, err == nil, format))
}

// tellLife says it in a sentence.
func (a *app) tellLife(v lifeVerb, opt cluster.LifeOptions, result *cluster.LifeResult, took time.Duration) {
	switch {
	case !result.Changed() && len(opt.Nodes) == 0:
		a.reporter().Note("cluster %s is %s already", result.Cluster, v.done)
	case len(opt.Nodes) == 0:
		a.reporter().Note("cluster %s is %s after %s", result.Cluster, v.done, status.Short(took))
	}
	for _, n := range result.Nodes {
		if len(opt.Nodes) > 0 && !n.Changed {
			a.reporter().Note("%s is %s already", n.Node, v.done)
		}
	}
}

// printLife prints the cluster's name, or those of the nodes that were named.
func (a *app) printLife(result *cluster.LifeResult, opt cluster.LifeOptions, well bool, format string) error {
	if format == formatJSON {
		return printJSON(a.streams.Out, result)
	}
	if !well {
		return nil
	}
	names := []string{result.Cluster}
	if len(opt.Nodes) > 0 {
		names = nil
		for _, n := range result.Nodes {
			names = append(names, n.Node)
		}
	}
	for _, name := range names {
		if _, err := fmt.Fprintln(a.streams.Out, name); err != nil {
			return fmt.Errorf("printing the result: %w", err)
		}
	}
	return nil
}
