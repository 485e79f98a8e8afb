package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/kluster-project/kluster/e2e/plan"
	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/e2e/runner"
	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/status"
)

// run is one run on its way.
type run struct {
	*Runner
	opt Options

	suite    plan.Suite
	filter   report.Filter
	version  string // of Kubernetes, that the programs are built for
	programs []program
	leftOut  []report.Spec // of the suite, which cannot run here
	parts    []report.Part
	record   *Record  // of the run, once it is known or taken up
	kept     bool     // the record is in the report's folder
	ended    bool     // nothing is left to run
	lock     *os.File // of the report's folder
	deadline time.Time
	// configurations are the digests of those of clusters to make.
	configurations map[*config.Cluster]string
	list           []plan.Conformance // Kubernetes' own, nil for packages
	timings        map[string]float64
	shown          Shown // nil for nobody who looks
	clusters       []*target
	warned         []string // of clusters, already told
	report         *report.Report
	cleanup        []func()
}

// step is a named part of a run.
type step struct {
	name string // "" for one that the user need not see
	run  func(*run, context.Context, status.Step) error
}

// finding and planning are the steps that touch no cluster but to ask for its
// version. What need not be planned for is looked at between them, before anything
// takes its time, and running are the steps after them.
var (
	finding = []step{
		{"", (*run).findSuite},
		{"", (*run).refuseUnfit},
		{"", (*run).sameRun},
		{"", (*run).whatIsLeft},
		{"", (*run).findVersion},
		{"", (*run).sameRun},
	}
	looking  = []step{{"", (*run).preflightFirst}}
	planning = []step{
		{"programs of the suite", (*run).makePrograms},
		{"plan", (*run).makePlans},
		{"", (*run).expect},
	}
	running = []step{
		{"", (*run).makeClusters},
		{"images of the specs", (*run).placeImages},
		{"nodes and images", (*run).preflight},
		{"", (*run).vacate},
		{"", (*run).deal},
		{"", (*run).runSpecs},
	}
)

func (r *Runner) newRun(opt Options) *run {
	return &run{Runner: r, opt: opt, configurations: map[*config.Cluster]string{}}
}

// Plan says what a run would do, and starts nothing on a cluster.
func (r *Runner) Plan(ctx context.Context, opt Options) (Planned, error) {
	x := r.newRun(opt)
	defer x.clean()
	if err := x.do(ctx, slices.Concat(finding, planning)); err != nil {
		return Planned{}, err
	}
	return Planned{Suite: x.suite, Filter: x.filter, Specs: x.specs(), All: x.allNames(), LeftOut: x.leftOut, Estimate: x.estimate()}, nil
}

// Run runs a suite. There is a report as soon as specs were started, also beside
// an error; failed specs are no error. Reports are written to Options.Dir.
func (r *Runner) Run(ctx context.Context, opt Options) (*report.Report, error) {
	x := r.newRun(opt)
	defer x.clean()
	err := x.do(ctx, slices.Concat([]step{{"", (*run).makeDir}}, finding, looking, planning, running))
	err = x.resumable(err)
	if x.report == nil {
		return nil, err
	}
	if notListed := x.noteListed(context.WithoutCancel(ctx)); notListed != nil {
		r.Reporter.Note("the report may lack images: %v", notListed)
	}
	for _, part := range x.parts {
		if !slices.Contains(x.report.Parts, part) {
			x.report.Parts = append(x.report.Parts, part)
		}
	}
	if x.record != nil {
		x.report.Specs = append(x.report.Specs, x.record.LeftOut...)
	}
	x.opt.Expectations.Apply(x.report)
	if err = errors.Join(err, writeReports(x.opt.Dir, x.report)); err != nil || opt.Certification == nil {
		return x.report, err
	}
	submission, err := x.certify()
	if err == nil {
		r.Reporter.Note("certification bundle: %s, for %q in cncf/k8s-conformance; not looked at: %s",
			opt.Certification.Dir, submission.Folder, strings.Join(submission.Unchecked(), "; "))
	}
	return x.report, err
}

func (r *run) do(ctx context.Context, steps []step) error {
	for _, s := range steps {
		if r.ended {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		shown := status.Discard
		if s.name != "" {
			shown = r.Reporter.Step(s.name, 0)
		}
		err := s.run(r, ctx, shown)
		shown.End(err)
		if err != nil {
			return err
		}
	}
	return nil
}

// later has f done at the end of the run, last first.
func (r *run) later(f func()) { r.cleanup = append(r.cleanup, f) }

func (r *run) clean() {
	for i := len(r.cleanup) - 1; i >= 0; i-- {
		r.cleanup[i]()
	}
}

func (r *run) findSuite(_ context.Context, _ status.Step) error {
	table, err := plan.Load()
	if err != nil {
		return err
	}
	if r.suite, err = table.Find(r.opt.Suite); err != nil {
		return err
	}
	if r.suite.MakesClusters && (r.opt.Cluster != "" || r.opt.Kubeconfig != "" || len(r.opt.Create) > 0) {
		return usageError(fmt.Errorf("suite %s makes its clusters itself", r.suite.Name), "leave out --cluster, --kubeconfig and --create")
	}
	if r.opt.Expectations, err = listsFor(r.suite, r.opt.Expectations); err != nil {
		return err
	}
	if err := r.certifying(); err != nil {
		return err
	}
	r.filter, err = r.suite.Filter(r.opt.Filter)
	return err
}

// makePlans asks the programs what they would run, and sees that it is what the
// suite promises.
func (r *run) makePlans(ctx context.Context, _ status.Step) error {
	for i := range r.programs {
		p := &r.programs[i]
		if r.record != nil {
			p.plan = r.record.plan(p.name)
			continue
		}
		var err error
		if p.plan, err = runner.MakePlan(ctx, p.Program, r.filter); err != nil {
			return err
		}
		r.leaveOut(p)
	}
	asked := r.filter
	r.filter = r.suite.Runnable(asked)
	if r.record != nil {
		return nil // it was looked at when the run began
	}
	var names []string
	for _, s := range r.specs() {
		names = append(names, s.Name)
	}
	return r.suite.Check(asked, names, r.list)
}

// specs are those of all programs.
func (r *run) specs() []runner.Spec {
	var all []runner.Spec
	for _, p := range r.programs {
		all = append(all, p.plan.Specs...)
	}
	return all
}

// makeDir sees that the report can be written, before anything has taken its time.
func (r *run) makeDir(_ context.Context, _ status.Step) error {
	const hint = "give another folder, with --report-dir"
	if r.opt.Resume {
		var err error
		if r.record, err = LoadRecord(r.opt.Dir); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(r.opt.Dir, 0o755); err != nil {
		return usageError(fmt.Errorf("folder of the report: %w", err), hint)
	}
	probe, err := os.CreateTemp(r.opt.Dir, ".writable-*")
	if err != nil {
		return usageError(fmt.Errorf("folder of the report: %w", err), hint)
	}
	probe.Close()
	os.Remove(probe.Name())
	// Gone again if nothing comes of the run.
	r.later(func() { os.Remove(r.opt.Dir) })
	if err := r.lockDir(); err != nil {
		return err
	}
	for _, name := range []string{report.FileName, RecordFile} {
		if _, err := os.Stat(filepath.Join(r.opt.Dir, name)); err == nil && !r.opt.Resume {
			return usageError(fmt.Errorf("folder of the report: %s holds another run", r.opt.Dir), hint+", or take that run up again with --resume")
		}
	}
	return nil
}

// lockDir keeps the report's folder for this run, as long as its process lives, and
// those of its suite.
func (r *run) lockDir() error {
	dir, err := os.Open(r.opt.Dir)
	if err != nil {
		return fmt.Errorf("folder of the report: %w", err)
	}
	r.later(func() { dir.Close() })
	r.lock = dir
	err = syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return usageError(fmt.Errorf("the run in %s is still under way", r.opt.Dir),
			"wait for its end, or interrupt it; if kluster was killed, specs clean up for three minutes at most")
	}
	if err != nil {
		return fmt.Errorf("locking the folder of the report: %w", err)
	}
	return nil
}
