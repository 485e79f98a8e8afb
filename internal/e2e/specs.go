package e2e

import (
	"context"
	"errors"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"time"

	"github.com/kluster-project/kluster/e2e/event"
	"github.com/kluster-project/kluster/e2e/evidence"
	"github.com/kluster-project/kluster/e2e/plan"
	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/e2e/runner"
	"github.com/kluster-project/kluster/e2e/timings"
	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/status"
)

// procsPerCPU is how many specs run at once on each processor: most of a spec is
// waiting. On two processors 8 at once took half the time of 4 and not more than 12.
const procsPerCPU = 4

// procs is how many processes a run has on each of its clusters.
func (r *run) procs() int {
	switch {
	case r.opt.Procs > 0 && r.suite.Program != plan.CRI:
		return r.opt.Procs
	case r.suite.Program == plan.CRI: // specs of containers and images may not meet
		return 1
	case r.suite.Program == plan.Package: // a package's specs may share what they please
		return 1
	}
	return max(2, procsPerCPU*runtime.NumCPU())
}

// timingsDir keeps how long specs took on this machine.
func (r *run) timingsDir() string { return filepath.Join(r.CacheDir, "timings") }

func (r *run) findTimings() error {
	table, err := timings.For(r.timingsDir(), r.version)
	r.timings = table.Seconds()
	return err
}

// estimate is how long the specs would take, 0 if nobody knows.
func (r *run) estimate() time.Duration {
	if err := r.findTimings(); err != nil || len(r.timings) == 0 {
		return r.suite.Estimate
	}
	work := timings.Work{Procs: r.procs()}
	for _, s := range r.specs() {
		seconds, known := r.timings[s.Name]
		switch {
		case !known:
			return r.suite.Estimate
		case s.Serial:
			work.Serial = append(work.Serial, seconds)
		default:
			work.Parallel = append(work.Parallel, seconds)
		}
	}
	return work.Left()
}

// runSpecs runs what was planned, spread over the clusters.
func (r *run) runSpecs(ctx context.Context, _ status.Step) error {
	if r.opt.Show != nil {
		r.shown = r.opt.Show(r.timings)
		defer r.shown.Close()
	}
	if r.opt.Timeout > 0 {
		r.deadline = time.Now().Add(r.opt.Timeout)
	}
	err := r.runPrograms(ctx)
	if r.report == nil || r.suite.Program == plan.Package || r.suite.Program == plan.CRI {
		return err
	}
	if err := timings.Update(r.timingsDir(), r.version, r.report); err != nil {
		r.Reporter.Note("how long specs took is not kept for the next run: %v", err)
	}
	return err
}

// runPrograms runs one program after the other, with one report of them all. The
// specs of one that could not run, or was not let to, are in it too, as missing.
func (r *run) runPrograms(ctx context.Context) error {
	var ran, others []runner.Part
	var errs []error
	for _, p := range r.programs {
		parts := r.record.partsOf(p.name)
		if len(parts) == 0 {
			continue
		}
		got, err := r.runProgram(ctx, p, parts)
		errs = append(errs, err)
		if got != nil {
			ran = append(ran, runner.Part{Report: got, Dir: p.name})
		} else {
			others = append(others, runner.Part{Report: runner.NotRun(r.optionsOf(p), err), Dir: p.name})
		}
	}
	if len(ran) > 0 {
		r.report = runner.Merge(append(ran, others...))
	}
	return errors.Join(errs...)
}

// optionsOf are those of a program's run that do not depend on a cluster.
func (r *run) optionsOf(p program) runner.Options {
	o := runner.Options{
		Program: p.Program, Suite: r.suite.Name, Dir: filepath.Join(r.opt.Dir, p.name), Resume: r.opt.Resume,
		Filter: r.filter, Plan: &p.plan, Procs: r.procs(), Seed: r.opt.Seed, Deadline: r.deadline,
		RerunFailed: r.opt.RerunFailed, Timings: r.timings, Parts: r.parts, Lock: r.lock, Kill: r.opt.Kill,
	}
	if r.opt.Certification != nil {
		o.Args = append(slices.Clone(o.Args), "--report-dir="+r.opt.Dir) // for its own junit_01.xml
	}
	if r.shown != nil {
		o.Watch = r.shown
	}
	return o
}

// runProgram runs a program's parts at once, each on its cluster.
func (r *run) runProgram(ctx context.Context, p program, parts []recordedPart) (*report.Report, error) {
	whole := r.optionsOf(p)
	var all []runner.Options
	for i := range parts {
		o := whole
		o.Dir, o.Plan, o.Exact = filepath.Join(r.opt.Dir, parts[i].Dir), &parts[i].Plan, parts[i].Exact
		for _, t := range r.clusters {
			if t.name != parts[i].Cluster {
				continue
			}
			if err := r.aim(&o, t); err != nil {
				return nil, err
			}
		}
		all = append(all, o)
	}
	return runner.RunAll(ctx, whole.Dir, all)
}

// aim gives a part its cluster, and has evidence collected from it.
func (r *run) aim(part *runner.Options, t *target) error {
	part.Cluster, part.Clusters = t.name, []report.Cluster{t.facts}
	if r.suite.Program == plan.CRI {
		return nil // there is no API to ask or to watch
	}
	r.watch(part, t)
	env, err := r.suite.Handover(t.kubeconfig, t.facts)
	if err != nil {
		return err
	}
	part.Env = append(slices.Clone(part.Env), env...)
	if r.suite.Program != plan.Package {
		part.Args = append(slices.Clone(part.Args), "--kubeconfig="+t.kubeconfig)
	}
	collector, err := evidence.New(evidence.Options{
		Config: t.config, Dir: part.Dir, Nodes: nodeNames(t.facts), Units: logUnits(t.facts),
		Exec: evidence.NodeExec(t.exec), Again: r.again,
	})
	if err != nil {
		return err
	}
	part.Evidence = collector.Collect
	part.Watch = following{part.Watch, collector}
	return nil
}

// following lets a collector hear of the specs' beginnings.
type following struct {
	runner.Watch
	collector *evidence.Collector
}

func (f following) Event(cluster string, e event.Event) {
	f.collector.Follow(e)
	if f.Watch != nil {
		f.Watch.Event(cluster, e)
	}
}

func (f following) Begin(b runner.Begin) {
	if f.Watch != nil {
		f.Watch.Begin(b)
	}
}

func (f following) Incident(cluster, text string) {
	if f.Watch != nil {
		f.Watch.Incident(cluster, text)
	}
}

// again is the command that runs just one spec again.
func (r *run) again(spec string) []string {
	return append(slices.Clone(r.opt.Command), "--focus", regexp.QuoteMeta(spec)+"$")
}

func nodeNames(c report.Cluster) []string {
	var names []string
	for _, n := range c.Nodes {
		names = append(names, n.Name)
	}
	return names
}

// logUnits are the systemd units whose journals explain what a node did.
func logUnits(c report.Cluster) []string {
	var runtimes []cri.Runtime
	for _, n := range c.Nodes {
		// Others are of a cluster that kluster did not make.
		if known, ok := cri.Reported(n.Runtime); ok {
			runtimes = append(runtimes, known)
		}
	}
	return cri.LogUnits(runtimes...)
}
