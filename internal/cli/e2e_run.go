package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/kluster-project/kluster/e2e/certify"
	"github.com/kluster-project/kluster/e2e/expect"
	"github.com/kluster-project/kluster/e2e/plan"
	"github.com/kluster-project/kluster/e2e/progress"
	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/e2e"
	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/status"
	nodeimage "github.com/kluster-project/kluster/node-image"
)

// e2eRunOptions are the flags and arguments of "e2e run".
type e2eRunOptions struct {
	e2e.Options
	create     bool
	clusters   int
	file       string
	flags      config.Flags
	procs      procsFlag
	dryRun     bool
	allowFlaky bool
	bundle     string
	// expectations are files of known failures, or words in their place.
	expectations []string
	product      string
	output       choice

	controlPlanes, workers int
	source                 string
	// given are the flags that were, with their values.
	given map[string][]string
}

const e2eRunLong = `Runs a suite of Kubernetes' own e2e specs, or of any Go package with ginkgo
specs, on a cluster, and writes a report: report.html for people, junit.xml for
CI, report.json for machines, and for each spec that failed a folder with what
explains it.

The suite's programs and container images are built for the cluster's version of
Kubernetes and kept in a cache; no registry is needed. Parallel specs run first,
the longest before the others, and the Serial ones after them.

It runs on the only cluster there is, on --cluster or --kubeconfig, or with
--create on a cluster (--clusters N: several at once) that is made for the run
and deleted after it. The first Ctrl-C lets specs clean up and writes what there
is, and --resume takes the run up again; the second ends it at once.

With --expectations specs that are known to fail on the cluster's container
runtime do not fail the run, and those of them that pass do: the list is out of
date then.

The exit code is 0 when all planned specs passed; 3 when specs failed or, unless
--allow-flaky is given, passed only when run again; 1 when not all could run.`

const e2eRunExample = `  kluster e2e run --suite smoke
  kluster e2e run --suite conformance --create
  kluster e2e run --suite sig-network --focus 'Services should' --cluster kluster
  kluster e2e run ./test/e2e --kubeconfig ~/.kube/config`

// smokeSuite is what runs when no suite is named.
const smokeSuite = "smoke"

func newE2ERunCmd(a *app, runs ...func(context.Context, *app, *e2eRunOptions) error) *cobra.Command {
	opts, run := &e2eRunOptions{}, runE2E
	if len(runs) > 0 {
		run = runs[0]
	}
	cmd := &cobra.Command{
		Use:     "run [FOLDER]",
		Short:   "Run a suite on a cluster",
		Long:    e2eRunLong,
		Example: e2eRunExample,
		Args:    atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.suiteOf(cmd, args); err != nil {
				return err
			}
			if opts.Resume && opts.Dir != "" {
				if err := opts.takeUp(cmd, len(args) > 0); err != nil {
					return err
				}
			}
			if err := opts.oneNode(cmd); err != nil {
				return err
			}
			opts.take(cmd)
			if err := opts.check(cmd); err != nil {
				return err
			}
			opts.given = givenFlags(cmd, ofOneCommand)
			opts.Command = commandLine(cmd, opts.Suite, ofOneRun)
			opts.Resumed = commandLine(cmd, opts.Suite, []string{"resume", "report-dir"})
			return run(cmd.Context(), a, opts)
		},
	}
	opts.addSpecFlags(cmd)
	opts.addClusterFlags(a, cmd, "with --create: ")
	f := cmd.Flags()
	f.StringVar(&opts.Cluster, "cluster", "", "name of the cluster (default: the only one there is)")
	f.StringVar(&opts.Kubeconfig, "kubeconfig", "", "`FILE` of a cluster that kluster did not make")
	f.BoolVar(&opts.create, "create", false, "make a cluster for the run, and delete it afterwards")
	f.StringVar(&opts.flags.Name, "name", "e2e", "with --create: name of the cluster")
	f.IntVar(&opts.clusters, "clusters", 1, "with --create: spread the run over so many clusters at once")
	f.StringVar(&opts.flags.Runtime, "runtime", "", "with --create: container runtime of all nodes")
	f.StringVar(&opts.flags.OCIRuntime, "oci-runtime", "", "with --create: OCI runtime of all nodes")
	f.StringVar(&opts.Dir, "report-dir", "", "`FOLDER` of the report (default: kluster-e2e-SUITE-TIME)")
	f.BoolVar(&opts.KeepNamespaces, "keep-namespace-on-failure", false, "leave the namespaces of specs that failed")
	f.BoolVar(&opts.Resume, "resume", false, "take up the run in --report-dir that was cut off; flags that are left out are as they were")
	f.StringArrayVar(&opts.expectations, "expectations", nil, "`FILE` of failures that are known, or builtin for kluster's own lists (repeatable)")
	f.StringVar(&opts.bundle, "certification-bundle", "", "write what a certification is asked for with to this `FOLDER`")
	f.StringVar(&opts.product, "product", "", "`FILE` like PRODUCT.yaml that says what is certified")
	complete(cmd, "cluster", a.clusterNames)
	complete(cmd, "runtime", a.runtimeNames)
	complete(cmd, "oci-runtime", a.ociRuntimeNames)
	return cmd
}

// addSpecFlags adds flags that say which specs run, and how.
func (o *e2eRunOptions) addSpecFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.Suite, "suite", smokeSuite, "`NAME` of the suite: conformance, node-conformance, smoke, networkpolicy, sig-..., cri, kluster")
	f.StringVar(&o.Filter.Labels, "label-filter", "", "only specs with these labels, as ginkgo's `QUERY`")
	f.StringArrayVar(&o.Filter.Focus, "focus", nil, "only specs whose name matches this `REGEXP` (repeatable)")
	f.StringArrayVar(&o.Filter.Skip, "skip", nil, "no specs whose name matches this `REGEXP` (repeatable)")
	f.Var(&o.procs, "procs", "parallel processes for each cluster, or auto")
	f.BoolVar(&o.dryRun, "dry-run", false, "print the specs that would run, and do nothing")
	f.DurationVar(&o.Timeout, "timeout", 0, "how long all specs may run, those that are run again too (default: a day)")
	f.Int64Var(&o.Seed, "seed", 0, "ginkgo's seed of the order (default: another one each time)")
	f.IntVar(&o.RerunFailed, "rerun-failed", 0, "run specs that failed again, alone, up to `N` times")
	f.BoolVar(&o.allowFlaky, "allow-flaky", false, "specs that passed when they were run again do not fail the run")
	f.StringVar(&o.source, "source", nodeimage.SourceModules, "where the suite's programs come from: modules or release")
	addChoice(cmd, &o.output, "output", "o", "how to print", "text", formatJSON)
	complete(cmd, "suite", suiteNames)
}

// addClusterFlags adds flags about clusters that are made for a run; when says in
// their help when they count.
func (o *e2eRunOptions) addClusterFlags(a *app, cmd *cobra.Command, when string) {
	f := cmd.Flags()
	f.StringVarP(&o.file, "config", "f", "", when+"configuration `FILE` of the cluster")
	f.IntVar(&o.controlPlanes, "control-planes", 1, when+"number of control planes")
	f.IntVar(&o.workers, "workers", 2, when+"number of workers")
	f.StringVar(&o.flags.KubernetesVersion, "kubernetes-version", "", when+"Kubernetes version")
	complete(cmd, "kubernetes-version", a.kubernetesVersions)
}

// suiteOf takes the folder of a suite that may be given as an argument.
func (o *e2eRunOptions) suiteOf(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.Flags().Changed("suite") {
		return usageError(cmd, "give either a folder or --suite, not both")
	}
	o.Suite = folderOf(args[0])
	return nil
}

// oneNode makes a cluster of one node for a suite that has one for itself alone. A
// suite that does not exist is found out later, with a suggestion.
func (o *e2eRunOptions) oneNode(cmd *cobra.Command) error {
	table, err := plan.Load()
	if err != nil {
		return err
	}
	suite, err := table.Find(o.Suite)
	if err != nil || !suite.OneNode {
		return nil //nolint:nilerr // as above
	}
	if o.Cluster != "" || o.Kubeconfig != "" || o.clusters > 1 {
		return usageError(cmd, "suite %s is run in a node that is made for it: leave out --cluster, --kubeconfig and --clusters", suite.Name)
	}
	for name, value := range map[string]string{"create": "true", "workers": "0"} {
		f := cmd.Flags().Lookup(name)
		if f == nil || f.Changed || name == "workers" && o.file != "" {
			continue
		}
		if err := cmd.Flags().Set(name, value); err != nil {
			return fmt.Errorf("--%s %s: %w", name, value, err)
		}
	}
	return nil
}

// take takes flags that count only if they were given.
func (o *e2eRunOptions) take(cmd *cobra.Command) {
	o.flags.ControlPlanes = given(cmd, "control-planes", &o.controlPlanes)
	o.flags.Workers = given(cmd, "workers", &o.workers)
	if cmd.Flags().Changed("source") {
		o.Source = o.source
	}
}

func suiteNames(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	table, err := plan.Load()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return table.Names(), cobra.ShellCompDirectiveNoFileComp
}

// folderOf makes a folder recognisable as one: with a slash.
func folderOf(arg string) string {
	if filepath.IsAbs(arg) || arg == "." {
		return arg
	}
	return "." + string(filepath.Separator) + filepath.Clean(arg)
}

// check refuses flags that exclude each other, before anything is done.
func (o *e2eRunOptions) check(cmd *cobra.Command) error {
	targets := 0
	for _, given := range []bool{o.Cluster != "", o.Kubeconfig != "", o.create} {
		if given {
			targets++
		}
	}
	if targets > 1 {
		return usageError(cmd, "--cluster, --kubeconfig and --create exclude each other")
	}
	for _, name := range []string{"name", "clusters", "config", "control-planes", "workers", "kubernetes-version", "runtime", "oci-runtime"} {
		if cmd.Flags().Changed(name) && !o.create {
			return usageError(cmd, "--%s is for clusters that are made for the run: give --create too", name)
		}
	}
	switch {
	case o.clusters > 1 && o.file == "-":
		return usageError(cmd, "--config -: standard input can be read for one cluster only")
	case o.create && o.KeepNamespaces:
		return usageError(cmd, "--keep-namespace-on-failure: the cluster is deleted after the run; make it with kluster create")
	case o.clusters < 1:
		return usageError(cmd, "--clusters %d: must be at least 1", o.clusters)
	case (o.bundle == "") != (o.product == ""):
		return usageError(cmd, "--certification-bundle and --product belong together")
	case o.bundle != "" && len(o.expectations) > 0:
		return usageError(cmd, "--expectations: no failure may be expected of a certified run")
	case o.Resume && o.Dir == "":
		return usageError(cmd, "--resume needs the folder of the run that was cut off: give --report-dir")
	}
	return o.checkSpecs(cmd)
}

// checkSpecs refuses numbers that make no sense.
func (o *e2eRunOptions) checkSpecs(cmd *cobra.Command) error {
	switch {
	case o.RerunFailed < 0:
		return usageError(cmd, "--rerun-failed %d: must not be negative", o.RerunFailed)
	case o.Timeout < 0:
		return usageError(cmd, "--timeout %v: must not be negative", o.Timeout)
	}
	return nil
}

func runE2E(ctx context.Context, a *app, opts *e2eRunOptions) error {
	clusters, err := a.manager(ctx)
	if err != nil && opts.Kubeconfig == "" {
		return err
	}
	cache, err := a.deps.CacheDir()
	if err != nil {
		return err
	}
	if opts.bundle != "" {
		product, err := certify.LoadProduct(opts.product)
		if err != nil {
			return badInput("--product: %w", err)
		}
		opts.Certification = &e2e.Certification{Dir: opts.bundle, Product: product}
	}
	if opts.Expectations, err = expect.Load(opts.expectations...); err != nil {
		return fmt.Errorf("--expectations: %w", err)
	}
	if err := a.aim(ctx, clusters, opts); err != nil {
		return err
	}
	r, err := a.e2eRunner(clusters, cache)
	if err != nil {
		return err
	}
	if opts.create && !opts.dryRun {
		if err := a.raiseInotify(); err != nil {
			return err
		}
	}
	opts.Procs = int(opts.procs)
	if opts.dryRun {
		return a.printPlan(ctx, r, opts)
	}
	if err := opts.findDir("e2e"); err != nil {
		return err
	}
	opts.Resumed = append(opts.Resumed, "--resume", "--report-dir", opts.Dir)
	opts.Flags = opts.recordedFlags()
	opts.Show = a.showSpecs
	kill, done := killed(ctx)
	defer done()
	opts.Kill = kill
	got, err := r.Run(ctx, opts.Options)
	a.close()
	if got == nil {
		return err
	}
	return errors.Join(verdict(got, opts.allowFlaky), a.printReport(got, opts), err)
}

// e2eRunner is what runs suites.
func (a *app) e2eRunner(clusters Clusters, cache string) (*e2e.Runner, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding kluster's own program: %w", err)
	}
	return &e2e.Runner{Clusters: clusters, Reporter: a.reporter(), CacheDir: cache, Binary: self}, nil
}

// findDir makes the folder of the report an absolute path; kind is a part of its name
// if none was given.
func (o *e2eRunOptions) findDir(kind string) (err error) {
	if o.Dir == "" {
		o.Dir = fmt.Sprintf("kluster-%s-%s-%s", kind, filepath.Base(absolute(o.Suite)), time.Now().Format("20060102-150405"))
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return fmt.Errorf("folder of the report: %w", err)
	}
	return nil
}

// showSpecs shows specs where the steps before them were shown.
func (a *app) showSpecs(seconds map[string]float64) e2e.Shown {
	out := a.streams.Err
	if a.quiet {
		out = io.Discard
	}
	_, noColor := a.deps.LookupEnv("NO_COLOR")
	d := progress.New(progress.Options{
		Out: out, Terminal: !a.quiet && status.Smart(a.streams.Err, a.deps.LookupEnv),
		Width: a.width, Color: !noColor, Seconds: seconds,
	})
	return &shownSpecs{d, a.sayThrough(d.Note)}
}

// shownSpecs are specs that are shown, and the interruption among them.
type shownSpecs struct {
	*progress.Display
	unsay func()
}

// Close ends the display.
func (s *shownSpecs) Close() {
	s.unsay()
	s.Display.Close()
}

// aim finds the cluster to run on, or resolves those to make.
func (a *app) aim(ctx context.Context, clusters Clusters, opts *e2eRunOptions) error {
	if opts.create {
		return a.resolveClusters(opts)
	}
	if opts.Kubeconfig != "" || opts.makesClusters() {
		return nil
	}
	var err error
	opts.Cluster, err = clusters.Only(ctx, opts.Cluster)
	return err
}

// makesClusters says whether the suite makes its clusters itself. A suite that
// does not exist is found out later, with a suggestion.
func (o *e2eRunOptions) makesClusters() bool {
	table, err := plan.Load()
	if err != nil {
		return false
	}
	suite, err := table.Find(o.Suite)
	return err == nil && suite.MakesClusters
}

// resolveClusters resolves the clusters that are made for the run.
func (a *app) resolveClusters(opts *e2eRunOptions) error {
	for i := range opts.clusters {
		flags := opts.flags
		if opts.clusters > 1 {
			flags.Name = fmt.Sprintf("%s-%d", opts.flags.Name, i+1)
		}
		cfg, err := a.resolveCluster(opts.file, flags)
		if err != nil {
			return err
		}
		opts.Create = append(opts.Create, cfg)
	}
	return nil
}

// resolveCluster resolves a cluster that is made for a run.
func (a *app) resolveCluster(file string, flags config.Flags) (*config.Cluster, error) {
	if file == "" {
		one, two := 1, 2
		flags.ControlPlanes = cmp.Or(flags.ControlPlanes, &one)
		flags.Workers = cmp.Or(flags.Workers, &two)
	}
	return a.loadConfig(&createOptions{flags: flags, file: file})
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

func (a *app) printPlan(ctx context.Context, r *e2e.Runner, opts *e2eRunOptions) error {
	planned, err := r.Plan(ctx, opts.Options)
	if err != nil {
		return err
	}
	a.notePlan(planned)
	a.close()
	if opts.output.value == formatJSON {
		return printJSON(a.streams.Out, planned.Specs)
	}
	for _, s := range planned.Specs {
		if _, err := fmt.Fprintln(a.streams.Out, s.Name); err != nil {
			return err
		}
	}
	return nil
}

// notePlan says how much a run would be.
func (a *app) notePlan(planned e2e.Planned) {
	about := ""
	if planned.Estimate > 0 {
		about = ", about " + status.Short(planned.Estimate)
	}
	serial := 0
	for _, s := range planned.Specs {
		if s.Serial {
			serial++
		}
	}
	a.reporter().Note("%d specs, %d of them Serial%s", len(planned.Specs), serial, about)
	for _, s := range planned.LeftOut {
		a.reporter().Note("left out: %s: %s", s.Name, s.LeftOut)
	}
}

// stepSummary is the variable with the file in which GitHub's runners look for
// Markdown to show.
const stepSummary = "GITHUB_STEP_SUMMARY"

func (a *app) printReport(r *report.Report, opts *e2eRunOptions) error {
	var problem error
	if file, ok := a.deps.LookupEnv(stepSummary); ok && file != "" {
		problem = appendTo(file, r.WriteMarkdown)
	}
	return errors.Join(a.writeReport(r, opts), problem)
}

func (a *app) writeReport(r *report.Report, opts *e2eRunOptions) error {
	if opts.output.value == formatJSON {
		text, err := r.JSON()
		if err != nil {
			return err
		}
		_, err = a.streams.Out.Write(append(text, '\n'))
		return err
	}
	if err := r.WriteText(a.streams.Out); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.streams.Out, "report: %s\n", filepath.Join(opts.Dir, e2e.HTMLFile))
	return err
}

// appendTo adds what write writes to a file.
func appendTo(file string, write func(io.Writer) error) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("writing the step summary: %w", err)
	}
	return errors.Join(write(f), f.Close())
}

// verdict is nil for a run that went well, else an error with its exit code.
func verdict(r *report.Report, allowFlaky bool) error {
	s := r.Summarize()
	code := failure.CodeTests
	switch s.Verdict {
	case report.VerdictOK:
		return nil
	case report.VerdictFlaky:
		if allowFlaky {
			return nil
		}
	case report.VerdictIncomplete:
		code = failure.CodeFailed
	case report.VerdictFailed:
	}
	return failure.New(fmt.Sprintf("%s: %s", r.Suite, s.Headline()), failure.Exit(code))
}
