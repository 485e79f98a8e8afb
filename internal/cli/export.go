package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kluster-project/kluster/internal/cluster"
	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/logs"
)

// formatTar packs what is printed.
const formatTar = "tar"

func newExportCmd(a *app) *cobra.Command {
	return newGroupCmd("export", "Take out of a cluster what others may look at", newExportLogsCmd(a))
}

// exportOptions are the flags and argument of "export logs".
type exportOptions struct {
	cluster, dir string
	since        time.Duration
	output       choice
}

const exportLogsLong = `Takes journals, logs of pods and containers, configuration and states of all
machines, and the objects and events of the API, into the folder DIR, and names
what is likely wrong; index.html and summary.txt are the places to begin. It
takes what it can have, also when the API is away or machines are stopped.

Private keys, tokens, passwords with a name, credentials of proxies and the data
of Secrets are left out. Still, look at it before you give it away.

With -o tar it is one tar: the file DIR.tar, or standard output without DIR.`

func newExportLogsCmd(a *app, runs ...func(context.Context, *app, *exportOptions) error) *cobra.Command {
	opts, run := &exportOptions{}, runExportLogs
	if len(runs) > 0 {
		run = runs[0]
	}
	cmd := &cobra.Command{
		Use:     "logs [DIR]",
		Short:   "Take all logs of a cluster, and say what is likely wrong",
		Long:    exportLogsLong,
		Example: "  kluster export logs\n  kluster export logs broken --since 1h\n  kluster export logs -o tar | gzip > logs.tar.gz",
		Args:    atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if opts.since < 0 {
				return usageError(cmd, "--since %v: must not be less than 0", opts.since)
			}
			if len(args) == 1 {
				opts.dir = args[0]
			}
			if len(args) == 1 && args[0] == "" {
				return usageError(cmd, "DIR is empty")
			}
			return run(cmd.Context(), a, opts)
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
	}
	a.addCluster(cmd, &opts.cluster)
	addSince(cmd, &opts.since)
	addChoice(cmd, &opts.output, "output", "o", "what to print; json is the summary, name the folder's", formatText, formatJSON, formatName, formatTar)
	return cmd
}

func runExportLogs(ctx context.Context, a *app, opts *exportOptions) error {
	if opts.output.value == formatTar && opts.dir == "" && a.printsToTerminal() {
		return badInput("a tar is not for a terminal: give DIR, or send the output to a file")
	}
	clusters, name, err := a.existing(ctx, opts.cluster)
	if err != nil {
		return err
	}
	export := cluster.ExportOptions{Cluster: name, Dir: opts.dir, Since: ago(opts.since)}
	if opts.output.value == formatTar {
		return a.exportTar(ctx, clusters, export)
	}
	if export.Dir == "" {
		export.Dir = bundleName(name)
	}
	s, err := clusters.ExportLogs(ctx, export)
	if err != nil && s != nil {
		return failure.With(err, failure.Log(s.Dir), failure.Hint("what was had until then is there: summary.txt says what is missing"))
	}
	if err != nil {
		return err
	}
	a.close()
	return a.printExport(opts.output.value, s)
}

// bundleName is the folder's where none is given.
func bundleName(cluster string) string {
	return fmt.Sprintf("kluster-logs-%s-%s", cluster, time.Now().UTC().Format("20060102T150405"))
}

func (a *app) printExport(format string, s *logs.Summary) error {
	switch format {
	case formatJSON:
		return printJSON(a.streams.Out, s)
	case formatText:
		a.tellCauses(s)
		if n := len(s.Missing); n > 0 && !a.quiet {
			fmt.Fprintf(a.streams.Err, "could not be had: %d, see %s\n", n, filepath.Join(s.Dir, "summary.txt"))
		}
	}
	_, err := fmt.Fprintln(a.streams.Out, s.Dir)
	return err
}

// tellCauses says what is likely wrong.
func (a *app) tellCauses(s *logs.Summary) {
	if !a.quiet {
		fmt.Fprint(a.streams.Err, s.CausesText())
	}
}

// exportTar exports into a folder that goes again, and packs it: into the file DIR.tar,
// which appears when it is whole, or to standard output.
func (a *app) exportTar(ctx context.Context, clusters Clusters, opt cluster.ExportOptions) (err error) {
	target := tarName(opt.Dir)
	if target != "" {
		if _, err := os.Lstat(target); !errors.Is(err, os.ErrNotExist) {
			return badInput("%s exists, or cannot be looked for: give another DIR", target)
		}
	}
	beside := "" // where temporary folders are
	if target != "" {
		beside = filepath.Dir(target)
	}
	dir, err := os.MkdirTemp(beside, ".kluster-logs-")
	if err != nil {
		return failure.With(fmt.Errorf("making a folder for logs: %w", err), failure.Exit(failure.CodeUsage))
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	name := bundleName(opt.Cluster)
	if target != "" {
		name = strings.TrimSuffix(filepath.Base(target), ".tar")
	}
	opt.Dir = filepath.Join(dir, name)
	s, err := clusters.ExportLogs(ctx, opt)
	if err != nil {
		return err
	}
	a.close()
	if target == "" {
		err = logs.Pack(a.streams.Out, opt.Dir, name)
	} else {
		err = packFile(filepath.Join(dir, "tar"), target, opt.Dir, name)
	}
	if err != nil {
		return err
	}
	a.tellCauses(s)
	if target != "" {
		_, err = fmt.Fprintln(a.streams.Out, target)
	}
	return err
}

// tarName is the file of a bundle, "" for standard output.
func tarName(dir string) string {
	if dir == "" || strings.HasSuffix(dir, ".tar") {
		return dir
	}
	return filepath.Clean(dir) + ".tar"
}

// packFile packs dir into a file that gets its name, target, when it is whole.
func packFile(part, target, dir, name string) error {
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("packing the logs: %w", err)
	}
	defer f.Close()
	if err := logs.Pack(f, dir, name); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("packing the logs: %w", err)
	}
	if err := os.Rename(part, target); err != nil {
		return fmt.Errorf("packing the logs: %w", err)
	}
	return nil
}
