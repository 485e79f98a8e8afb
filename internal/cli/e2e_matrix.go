package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kluster-project/kluster/e2e/expect"
	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/e2e/runner"
	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/e2e"
	"github.com/kluster-project/kluster/internal/failure"
)

// e2eMatrixOptions are the flags and arguments of "e2e matrix".
type e2eMatrixOptions struct {
	e2eRunOptions
	runtimes, ociRuntimes []string
	atOnce                int
}

const e2eMatrixLong = `Runs one suite on a cluster for each combination of a container runtime and an
OCI runtime, and compares the reports. The clusters are made for their runs from
one node image, with the same seed, and deleted after them.

Each run has a folder of its own in --report-dir, with all that "e2e run"
writes; comparison.html, comparison.json and comparison.txt are beside them. A
combination that could not run is named there, with the reason.

Specs that are known to fail on a runtime (--expectations) do not fail its run;
those of them that pass do: the list is out of date then.

The exit code is 0 when all specs of all combinations passed or failed as
expected; 3 when others failed, passed unexpectedly or, unless --allow-flaky is
given, passed only when run again; 1 when not all could run. An interruption
writes what there is; "kluster e2e run --resume" takes up the run that was cut.`

const e2eMatrixExample = `  kluster e2e matrix --runtimes containerd,cri-dockerd,cri-o
  kluster e2e matrix --oci-runtimes runc,crun --suite sig-node --focus Probing
  kluster e2e matrix --runtimes containerd,cri-o --suite conformance --at-once 2`

func newE2EMatrixCmd(a *app, runs ...func(context.Context, *app, *e2eMatrixOptions) error) *cobra.Command {
	opts, run := &e2eMatrixOptions{}, runE2EMatrix
	if len(runs) > 0 {
		run = runs[0]
	}
	cmd := &cobra.Command{
		Use:     "matrix [FOLDER]",
		Short:   "Run a suite on several container runtimes and compare them",
		Long:    e2eMatrixLong,
		Example: e2eMatrixExample,
		Args:    atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.suiteOf(cmd, args); err != nil {
				return err
			}
			if err := opts.oneNode(cmd); err != nil {
				return err
			}
			opts.take(cmd)
			if err := opts.check(cmd); err != nil {
				return err
			}
			opts.given = givenFlags(cmd, slices.Concat(ofOneCommand, ofMatrix))
			opts.Command = commandLine(cmd, opts.Suite, slices.Concat(ofOneRun, ofMatrix))
			return run(cmd.Context(), a, opts)
		},
	}
	opts.addSpecFlags(cmd)
	opts.addClusterFlags(a, cmd, "")
	f := cmd.Flags()
	f.StringSliceVar(&opts.runtimes, "runtimes", cri.Names(), "container runtimes, with commas")
	f.StringSliceVar(&opts.ociRuntimes, "oci-runtimes", nil, "OCI runtimes to combine each with, of "+strings.Join(cri.OCINames(), ", ")+" (default: the clusters' own)")
	f.IntVar(&opts.atOnce, "at-once", 1, "how many combinations run at once")
	f.StringVar(&opts.flags.Name, "name", "e2e", "what the names of the clusters begin with")
	f.StringVar(&opts.Dir, "report-dir", "", "`FOLDER` of the reports (default: kluster-matrix-SUITE-TIME)")
	f.StringArrayVar(&opts.expectations, "expectations", []string{expect.BuiltIn}, "`FILE` of failures that are known of a runtime, in place of kluster's own list, or none (repeatable)")
	complete(cmd, "runtimes", a.runtimeNames)
	complete(cmd, "oci-runtimes", a.ociRuntimeNames)
	return cmd
}

// ofMatrix are flags that say nothing of one of the runs.
var ofMatrix = []string{"runtimes", "oci-runtimes", "at-once", "name"}

// check refuses what no matrix can be made of, before anything is done.
func (o *e2eMatrixOptions) check(cmd *cobra.Command) error {
	switch {
	case o.atOnce < 1:
		return usageError(cmd, "--at-once %d: must be at least 1", o.atOnce)
	case o.file == "-":
		return usageError(cmd, "--config -: standard input can be read for one cluster only")
	}
	for _, list := range []struct {
		flag  string
		names []string
		known func(string) error
	}{
		{"runtimes", o.runtimes, func(name string) error { _, err := cri.Get(name); return err }},
		{"oci-runtimes", o.ociRuntimes, func(name string) error { _, err := cri.GetOCI(name); return err }},
	} {
		for i, name := range list.names {
			if name == "" {
				return usageError(cmd, "--%s: there is an empty name", list.flag)
			}
			if err := list.known(name); err != nil {
				return usageError(cmd, "--%s: %w", list.flag, err)
			}
			if slices.Contains(list.names[:i], name) {
				return usageError(cmd, "--%s: %s is there twice", list.flag, name)
			}
		}
	}
	if len(o.runtimes) == 0 {
		return usageError(cmd, "--runtimes: there is no name")
	}
	return o.checkSpecs(cmd)
}

func runE2EMatrix(ctx context.Context, a *app, opts *e2eMatrixOptions) error {
	var err error
	if opts.Expectations, err = expect.Load(opts.expectations...); err != nil {
		return fmt.Errorf("--expectations: %w", err)
	}
	clusters, err := a.manager(ctx)
	if err != nil {
		return err
	}
	cache, err := a.deps.CacheDir()
	if err != nil {
		return err
	}
	r, err := a.e2eRunner(clusters, cache)
	if err != nil {
		return err
	}
	if err := opts.findDir("matrix"); err != nil {
		return err
	}
	opts.Procs = int(opts.procs)
	m := e2e.MatrixOptions{Options: opts.Options, Combinations: a.combinations(opts), AtOnce: opts.atOnce}
	if opts.dryRun {
		return a.printMatrixPlan(ctx, r, opts, m)
	}
	if err := a.raiseInotify(); err != nil {
		return err
	}
	m.Show = a.showSpecs
	kill, done := killed(ctx)
	defer done()
	m.Kill = kill
	got, err := r.Matrix(ctx, m)
	a.close()
	if got == nil {
		return err
	}
	return errors.Join(matrixVerdict(got, opts.allowFlaky), a.printMatrix(got, opts), err)
}

// combinations are all of the runtimes with all of the OCI runtimes.
func (a *app) combinations(opts *e2eMatrixOptions) []e2e.Combination {
	ociRuntimes := opts.ociRuntimes
	if len(ociRuntimes) == 0 {
		ociRuntimes = []string{""}
	}
	var all []e2e.Combination
	for _, runtime := range opts.runtimes {
		for _, oci := range ociRuntimes {
			all = append(all, a.combination(opts, runtime, oci))
		}
	}
	return all
}

func (a *app) combination(opts *e2eMatrixOptions, runtime, oci string) e2e.Combination {
	c := e2e.Combination{Name: runtime, Runtime: runtime, Flags: maps.Clone(opts.given)}
	flags := opts.flags
	flags.Runtime, flags.OCIRuntime = runtime, oci
	c.Command = append(slices.Clone(opts.Command), "--create", "--runtime", runtime)
	if oci != "" {
		c.Name += "-" + oci
		c.Command = append(c.Command, "--oci-runtime", oci)
		c.Flags["oci-runtime"] = []string{oci}
	}
	flags.Name += "-" + c.Name
	c.Cluster, c.Refused = a.resolveCluster(opts.file, flags)
	// As "e2e run" would have recorded it, which takes it up again.
	c.Flags["create"], c.Flags["name"], c.Flags["runtime"] = []string{"true"}, []string{flags.Name}, []string{runtime}
	if c.Cluster != nil && c.Cluster.KubernetesVersion != "" {
		c.Flags["kubernetes-version"] = []string{c.Cluster.KubernetesVersion}
	}
	if _, given := c.Flags["expectations"]; !given {
		c.Flags["expectations"] = opts.expectations
	}
	c.Resumed = []string{"kluster", "e2e", "run", "--resume", "--report-dir", filepath.Join(opts.Dir, c.Name)}
	return c
}

// plannedCombination is a combination as a dry run shows it.
type plannedCombination struct {
	Name       string `json:"name"`
	Runtime    string `json:"runtime"`
	OCIRuntime string `json:"ociRuntime,omitempty"`
	Cluster    string `json:"cluster,omitempty"`
	Nodes      int    `json:"nodes,omitempty"`
	// Refused says why it cannot run, and Limits what its runtime cannot do.
	Refused string   `json:"refused,omitempty"`
	Limits  []string `json:"limits,omitempty"`
}

func (a *app) printMatrixPlan(ctx context.Context, r *e2e.Runner, opts *e2eMatrixOptions, m e2e.MatrixOptions) error {
	planned, err := r.PlanMatrix(ctx, m)
	if err != nil {
		return err
	}
	a.notePlan(planned)
	a.close()
	var combinations []plannedCombination
	for _, c := range m.Combinations {
		combinations = append(combinations, plannedOf(c))
	}
	if opts.output.value == formatJSON {
		return printJSON(a.streams.Out, struct {
			Combinations []plannedCombination `json:"combinations"`
			Specs        []runner.Spec        `json:"specs"`
		}{combinations, listOf(planned.Specs)})
	}
	t := table{head: []string{"COMBINATION", "CLUSTER", "NODES", "REMARKS"}}
	for _, c := range combinations {
		remarks := strings.Join(c.Limits, "; ")
		if c.Refused != "" {
			remarks = "cannot run: " + strings.Join(strings.Fields(c.Refused), " ")
		}
		t.rows = append(t.rows, []string{c.Name, c.Cluster, fmt.Sprint(c.Nodes), remarks})
	}
	if err := t.print(a.streams.Out); err != nil {
		return err
	}
	for _, s := range planned.Specs {
		if _, err := fmt.Fprintln(a.streams.Out, s.Name); err != nil {
			return err
		}
	}
	return nil
}

func plannedOf(c e2e.Combination) plannedCombination {
	p := plannedCombination{Name: c.Name, Runtime: c.Runtime}
	if oci := c.Flags["oci-runtime"]; len(oci) > 0 {
		p.OCIRuntime = oci[0]
	}
	if known, err := cri.Get(c.Runtime); err == nil {
		p.Limits = known.Limits
	}
	if c.Cluster == nil {
		p.Refused = c.Refused.Error()
		return p
	}
	p.Cluster, p.Nodes = c.Cluster.Name, len(c.Cluster.Nodes)
	return p
}

func (a *app) printMatrix(m *e2e.Matrix, opts *e2eMatrixOptions) error {
	var problem error
	if file, ok := a.deps.LookupEnv(stepSummary); ok && file != "" {
		problem = appendTo(file, func(w io.Writer) error { return writeMatrixMarkdown(w, m, opts.Suite) })
	}
	return errors.Join(a.writeMatrix(m, opts), problem)
}

// writeMatrixMarkdown shows the comparison, and each of the reports.
func writeMatrixMarkdown(w io.Writer, m *e2e.Matrix, suite string) error {
	var text strings.Builder
	if err := m.Comparison.WriteText(&text); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "## e2e matrix %s\n\n````text\n%s````\n", suite, text.String()); err != nil {
		return fmt.Errorf("writing the step summary: %w", err)
	}
	for _, o := range m.Outcomes {
		if o.Report == nil {
			continue
		}
		if _, err := fmt.Fprintf(w, "\n## %s\n\n", o.Combination.Name); err != nil {
			return fmt.Errorf("writing the step summary: %w", err)
		}
		if err := o.Report.WriteMarkdown(w); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) writeMatrix(m *e2e.Matrix, opts *e2eMatrixOptions) error {
	if opts.output.value == formatJSON {
		text, err := m.Comparison.JSON()
		if err != nil {
			return err
		}
		_, err = a.streams.Out.Write(append(text, '\n'))
		return err
	}
	if err := m.Comparison.WriteText(a.streams.Out); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.streams.Out, "comparison: %s\n", filepath.Join(opts.Dir, e2e.ComparisonHTMLFile))
	return err
}

// severity orders verdicts as the exit code of several runs does: the worst first.
var severity = []report.Verdict{report.VerdictFailed, report.VerdictIncomplete, report.VerdictFlaky, report.VerdictOK}

// matrixVerdict is nil if all runs went well, else the worst of their verdicts, with
// its exit code. One that has no report is not complete.
func matrixVerdict(m *e2e.Matrix, allowFlaky bool) error {
	worst := report.VerdictOK
	var words []string
	for _, o := range m.Outcomes {
		verdict, said := report.VerdictIncomplete, "did not run"
		if o.Report != nil {
			s := o.Report.Summarize()
			verdict, said = s.Verdict, s.Headline()
		}
		if verdict == report.VerdictFlaky && allowFlaky {
			verdict = report.VerdictOK
		}
		if verdict != report.VerdictOK {
			words = append(words, o.Combination.Name+": "+said)
		}
		if slices.Index(severity, verdict) < slices.Index(severity, worst) {
			worst = verdict
		}
	}
	if worst == report.VerdictOK {
		return nil
	}
	code := failure.CodeTests
	if worst == report.VerdictIncomplete {
		code = failure.CodeFailed
	}
	return failure.New(strings.Join(words, "; "), failure.Exit(code))
}
