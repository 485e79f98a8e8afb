package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kluster-project/kluster/internal/cluster"
	"github.com/kluster-project/kluster/internal/fault"
)

// faultOptions are the flags and arguments of "fault KIND".
type faultOptions struct {
	fault.Spec
	cluster string
	detach  bool
	output  choice
}

const faultLong = `%s.

It lasts for --for, and then %s, whatever becomes of
this command. Without --detach the command waits for that; Ctrl-C undoes it at
once.`

const faultOnceLong = `%s.

It happens once; with --for the command waits until that time is up and %s.
Ctrl-C ends it at once.`

// newFaultKindCmd is the verb of one kind, made of its row.
func newFaultKindCmd(a *app, info fault.Info, runs ...func(context.Context, *app, *faultOptions) error) *cobra.Command {
	opts, run := &faultOptions{Spec: fault.Spec{Kind: info.Kind, Params: map[string]string{}}}, runFault
	if len(runs) > 0 {
		run = runs[0]
	}
	given := make(map[string]*string, len(info.Params))
	cmd := &cobra.Command{
		Use:     string(info.Kind) + " NODE...",
		Short:   capital(info.Help),
		Long:    faultHelp(info),
		Example: faultExample(info),
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError(cmd, "%s needs at least one node", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Nodes = args
			for name, value := range given {
				if cmd.Flags().Changed(name) {
					opts.Params[name] = *value
				}
			}
			if _, err := opts.Complete(); err != nil {
				return usageError(cmd, "%w", err)
			}
			return run(cmd.Context(), a, opts)
		},
		ValidArgsFunction: a.furtherNodeNames,
	}
	a.addCluster(cmd, &opts.cluster)
	f := cmd.Flags()
	f.DurationVar(&opts.For, "for", faultFor(info), fmt.Sprintf("how long it lasts, %v to %v", info.AtLeast(), inWords(fault.Longest)))
	f.BoolVar(&opts.detach, "detach", false, "return when it holds; it is undone all the same")
	for _, p := range info.Params {
		value := p.Default
		given[p.Name] = &value
		f.StringVar(&value, p.Name, p.Default, paramHelp(p))
		complete(cmd, p.Name, a.paramValues(p))
	}
	addChoice(cmd, &opts.output, "output", "o", "how to print", formatName, formatJSON)
	return cmd
}

// faultFor is the duration that a kind has when none is given.
func faultFor(info fault.Info) time.Duration {
	if info.Once {
		return 0
	}
	return fault.DefaultFor
}

// inWords is a duration without what is zero: "1h".
func inWords(d time.Duration) string {
	return strings.TrimSuffix(strings.TrimSuffix(d.String(), "0s"), "0m")
}

func paramHelp(p fault.Param) string {
	if p.Words != nil {
		return fmt.Sprintf("%s: %s", p.Help, strings.Join(p.Words, ", "))
	}
	return fmt.Sprintf("`%s`: %s", p.Word, p.Help)
}

func faultHelp(info fault.Info) string {
	form := faultLong
	if info.Once {
		form = faultOnceLong
	}
	text := fmt.Sprintf(form, capital(info.Help), info.Undone)
	if info.Limits != "" {
		text += "\n\n" + capital(info.Limits) + "."
	}
	return wrap(text, helpWidth)
}

// faultExample names a node, and a value for what has no default.
func faultExample(info fault.Info) string {
	words := []string{"kluster fault", string(info.Kind), "worker-1"}
	if slices.ContainsFunc(info.Params, func(p fault.Param) bool { return p.Needed }) {
		for _, p := range info.Params {
			if p.Needed {
				words = append(words, "--"+p.Name, p.Words[0])
			}
		}
	}
	return "  " + strings.Join(words, " ") + "\n  " + strings.Join(append(words, "--for", "1m", "--detach"), " ")
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// helpWidth is how wide the help of a verb may be.
const helpWidth = 80

// wrap breaks paragraphs into lines.
func wrap(text string, width int) string {
	var paragraphs []string
	for p := range strings.SplitSeq(text, "\n\n") {
		var lines []string
		line := ""
		for _, word := range strings.Fields(p) {
			if line != "" && len(line)+1+len(word) > width {
				lines, line = append(lines, line), ""
			}
			line = strings.TrimPrefix(line+" "+word, " ")
		}
		paragraphs = append(paragraphs, strings.Join(append(lines, line), "\n"))
	}
	return strings.Join(paragraphs, "\n\n")
}

// furtherNodeNames completes names of nodes that are not on the command line yet.
func (a *app) furtherNodeNames(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	names, directive := a.nodeNames(cmd, nil, prefix)
	return slices.DeleteFunc(names, func(name string) bool { return slices.Contains(args, name) }), directive
}

// paramValues completes what a parameter takes.
func (a *app) paramValues(p fault.Param) cobra.CompletionFunc {
	if p.Name == fault.ParamFrom {
		return func(cmd *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
			return a.nodeNames(cmd, nil, prefix)
		}
	}
	return cobra.FixedCompletions(p.Words, cobra.ShellCompDirectiveNoFileComp)
}

func runFault(ctx context.Context, a *app, opts *faultOptions) error {
	clusters, name, err := a.existing(ctx, opts.cluster)
	if err != nil {
		return err
	}
	active, err := clusters.Fault(ctx, name, opts.Spec)
	if err != nil {
		return err
	}
	if active.Lasts() && !opts.detach {
		if err := a.awaitFault(ctx, clusters, *active); err != nil {
			return err
		}
	}
	a.close()
	return a.printFaults(opts.output.value, []fault.Active{*active})
}

// awaitFault waits until a fault is undone, or undoes it when it is interrupted.
func (a *app) awaitFault(ctx context.Context, clusters Clusters, active fault.Active) error {
	lasts := time.Until(active.Until)
	step := a.reporter().Step(active.String(), lasts)
	step.Detail("until " + active.Until.Local().Format(time.TimeOnly))
	err := clusters.AwaitFault(ctx, active)
	if ctx.Err() != nil {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), cluster.UndoTime(active.Kind))
		defer cancel()
		_, undone := clusters.ClearFaults(undo, active.Cluster, active.ID)
		if _, gone := errors.AsType[*cluster.NotFoundError](undone); gone {
			undone = nil // its time was up just then
		}
		err = errors.Join(context.Cause(ctx), undone)
	}
	step.End(err)
	return err
}

// printFaults prints IDs, or all there is to know.
func (a *app) printFaults(format string, all []fault.Active) error {
	if format == formatJSON {
		return printJSON(a.streams.Out, listOf(all))
	}
	for _, f := range all {
		if _, err := fmt.Fprintln(a.streams.Out, f.ID); err != nil {
			return fmt.Errorf("printing the result: %w", err)
		}
	}
	return nil
}
