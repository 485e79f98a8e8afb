package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"
)

// Options of a run.
type Options struct {
	Cases  []Case
	Rounds int
	// Idle is how long a cluster is left alone before its memory is read.
	Idle time.Duration
	// Timeout bounds one create, and each other step on a cluster.
	Timeout time.Duration
	// Amounts are for RunRuntimes.
	Amounts Amounts
	// Env are variables of every tool's process, "K=V".
	Env []string
	// Talk is where progress goes.
	Talk io.Writer
}

// run is a bench under way.
type run struct {
	engine  Engine
	opt     Options
	tools   []Tool
	report  *Report
	temp    string
	exec    Runner
	readLog logReader
	connect func(conf []byte, address string) (kubernetes.Interface, error)
	// floor measures one start of etcd and kube-apiserver.
	floor func(ctx context.Context, round int) FloorSample
}

// Run measures all cases with all tools in turns, and adds what it measured to
// the report. The report is good for as far as the run came, also with an error.
func Run(ctx context.Context, engine Engine, tools []Tool, opt Options, report *Report) error {
	r := newRun(engine, opt, report)
	r.tools = tools
	report.Settings = Settings{Rounds: opt.Rounds, Cases: opt.Cases, IdleSeconds: opt.Idle.Seconds()}
	return r.prepared(ctx, r.rounds)
}

func newRun(engine Engine, opt Options, report *Report) *run {
	return &run{engine: engine, opt: opt, report: report, exec: Exec, readLog: readPodLog, connect: connect}
}

// prepared measures between making a temporary folder and the floor, and their
// removal.
func (r *run) prepared(ctx context.Context, measure func(context.Context) error) (err error) {
	if r.temp, err = os.MkdirTemp("", "kluster-bench-"); err != nil {
		return fmt.Errorf("making a temporary folder: %w", err)
	}
	defer os.RemoveAll(r.temp)
	remove, err := r.setUpFloor(ctx)
	if err != nil {
		return err
	}
	defer func() {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTime)
		defer cancel()
		err = errors.Join(err, remove(clean))
	}()
	return measure(ctx)
}

// setUpFloor prepares the floor on the disk that the nodes' volumes are on, or,
// where that is out of reach, in the temporary folder.
func (r *run) setUpFloor(ctx context.Context) (remove func(context.Context) error, err error) {
	r.say("taking the floor's programs out of image %s", r.report.Versions.Image)
	dir, remove, err := r.engine.Scratch(ctx)
	if err != nil {
		return nil, err
	}
	r.report.Settings.FloorOn = "a volume of the engine"
	if dir == "" {
		dir, r.report.Settings.FloorOn = r.temp, "the temporary folder"
	}
	f, err := newFloor(ctx, r.engine, r.report.Versions.Image, r.report.Versions.Kubernetes, dir)
	if err != nil {
		return nil, errors.Join(err, remove(context.WithoutCancel(ctx)))
	}
	r.floor = f.measure
	return remove, nil
}

// rounds goes over all cases again and again, with the floor before every
// cluster, so that whatever slows the machine for a while slows both.
func (r *run) rounds(ctx context.Context) error {
	for round := 1; round <= r.opt.Rounds; round++ {
		if len(r.opt.Cases) == 0 {
			r.measureFloor(ctx, round)
		}
		for _, c := range r.opt.Cases {
			for _, t := range r.tools {
				if r.gaveUp(t) {
					continue
				}
				r.measureFloor(ctx, round)
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				r.measureTool(ctx, t, c, round)
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
			}
		}
	}
	return context.Cause(ctx)
}

func (r *run) measureFloor(ctx context.Context, round int) {
	f := r.floor(ctx, round)
	r.report.Floor = append(r.report.Floor, f)
	r.say("round %d of %d, floor: %s", round, r.opt.Rounds, result(f.Error, "%.2f s", f.ReadySeconds))
}

func (r *run) measureTool(ctx context.Context, t Tool, c Case, round int) {
	s := r.measure(ctx, t, c, round)
	r.report.Samples = append(r.report.Samples, s)
	r.noteKind(t, s)
	r.say("round %d of %d, %s, %s: %s", round, r.opt.Rounds, t.Name, c.Title,
		result(s.Error, "all Ready %.2f s, usable %.2f s, returned %.2f s, deleted in %.2f s",
			s.ReadySeconds, s.UsableSeconds, s.ReturnedSeconds, s.DeleteSeconds))
}

// noteKind notes what makes kind's figures others than they seem.
func (r *run) noteKind(t Tool, s Sample) {
	want := r.report.Versions.Kubernetes
	switch {
	case t.Name != kindName:
	case r.gaveUp(t):
		r.report.KindNote = "it cannot run here (see below), so that recorded figures stand in"
	case s.Kubelet != "" && s.Kubelet != want:
		r.report.KindNote = fmt.Sprintf("it ran Kubernetes %s, not %s", s.Kubelet, want)
	}
}

// gaveUp says whether kind has failed on every cluster it was asked for: then it
// cannot run here. Whatever becomes of kluster, it has to go on.
func (r *run) gaveUp(t Tool) bool {
	tried, failed := 0, 0
	for _, s := range r.report.Samples {
		if s.Tool == t.Name {
			tried++
			if s.Error != "" {
				failed++
			}
		}
	}
	return t.Name == kindName && tried > 0 && failed == tried
}

func result(failed, format string, args ...any) string {
	if failed != "" {
		return "failed: " + oneLine(failed)
	}
	return fmt.Sprintf(format, args...)
}

func (r *run) say(format string, args ...any) {
	fmt.Fprintln(r.opt.Talk, strings.TrimRight(fmt.Sprintf(format, args...), "\n"))
}
