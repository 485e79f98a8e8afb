package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kluster-project/kluster/internal/scenario"
)

// faultRunOptions are the flags and the argument of "fault run".
type faultRunOptions struct {
	file, cluster string
	list          bool
	output        choice
}

const faultRunLong = `Runs a scenario: a file that says which faults happen to a cluster, in which
order, what is waited for meanwhile and what must hold (docs/scenarios.md). It
is a file of your own, - for standard input, or the name of one of those that
kluster brings along (--list).

Prints what became of each step, with seconds. The exit code is 1 when
something that must hold does not. However it ends, the faults that it has begun
are undone; Ctrl-C undoes them at once.`

const faultRunExample = `  kluster fault run --list
  kluster fault run lose-leader
  kluster fault run mine.yaml --cluster ci -o json`

func newFaultRunCmd(a *app, runs ...func(context.Context, *app, *faultRunOptions) error) *cobra.Command {
	opts, run := &faultRunOptions{}, runFaultRun
	if len(runs) > 0 {
		run = runs[0]
	}
	cmd := &cobra.Command{
		Use:     "run FILE",
		Short:   "Run a scenario of faults, waits and checks",
		Long:    faultRunLong,
		Example: faultRunExample,
		Args: func(cmd *cobra.Command, args []string) error {
			if opts.list && len(args) > 0 || !opts.list && len(args) != 1 {
				return usageError(cmd, "%s needs a file or the name of a scenario, or --list", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if opts.list {
				return a.listScenarios(opts.output.value)
			}
			opts.file = args[0]
			return run(cmd.Context(), a, opts)
		},
		ValidArgsFunction: scenarioNames,
	}
	a.addCluster(cmd, &opts.cluster)
	cmd.Flags().BoolVar(&opts.list, "list", false, "list the scenarios that kluster brings along")
	addOutput(cmd, &opts.output)
	return cmd
}

// scenarioNames completes scenarios by name, besides files.
func scenarioNames(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	all, err := scenario.Named()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, s := range all {
		names = append(names, cobra.CompletionWithDesc(s.Name, s.Summary()))
	}
	return names, cobra.ShellCompDirectiveDefault
}

// listedScenario is a scenario in the list.
type listedScenario struct {
	Name          string `json:"name"`
	ControlPlanes int    `json:"controlPlanes"`
	Workers       int    `json:"workers"`
	Description   string `json:"description"`
}

func (a *app) listScenarios(format string) error {
	all, err := scenario.Named()
	if err != nil {
		return err
	}
	var listed []listedScenario
	t := table{head: []string{"NAME", "CONTROL-PLANES", "WORKERS", "WHAT HAPPENS"}}
	for _, s := range all {
		listed = append(listed, listedScenario{s.Name, s.Needs.ControlPlanes, s.Needs.Workers, strings.TrimSpace(s.Description)})
		t.rows = append(t.rows, []string{s.Name, fmt.Sprint(s.Needs.ControlPlanes), fmt.Sprint(s.Needs.Workers), s.Summary()})
	}
	a.close()
	return show(a.streams.Out, format, listOf(listed), func() table { return t })
}

func runFaultRun(ctx context.Context, a *app, opts *faultRunOptions) error {
	s, err := scenario.Load(opts.file, a.streams.In)
	if err != nil {
		return err
	}
	clusters, name, err := a.existing(ctx, opts.cluster)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "kluster-scenario-")
	if err != nil {
		return fmt.Errorf("making a folder for the scenario: %w", err)
	}
	defer os.RemoveAll(dir)
	target, err := scenario.Open(ctx, clusters, name, dir)
	if err != nil {
		return err
	}
	report, err := scenario.Run(ctx, s, target, scenario.DefaultTiming, a.reporter())
	a.close()
	return errors.Join(err, show(a.streams.Out, opts.output.value, report, func() table { return scenarioTable(report) }))
}

func scenarioTable(r *scenario.Report) table {
	t := table{head: []string{"STEP", "STATE", "SECONDS", "NODES"}}
	addSteps(&t, r.Steps, "")
	return t
}

func addSteps(t *table, steps []*scenario.StepReport, indent string) {
	for _, s := range steps {
		seconds := "-"
		if s.State != scenario.Skipped {
			seconds = fmt.Sprintf("%.2f", s.Seconds)
		}
		t.rows = append(t.rows, []string{indent + s.Name, string(s.State), seconds, orDash(strings.Join(s.Nodes, ","))})
		addSteps(t, s.Steps, indent+"  ")
	}
}
