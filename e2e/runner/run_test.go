package runner_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/e2e/event"
	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/e2e/runner"
	"github.com/kluster-project/kluster/internal/wait"
)

// options of a run of specs with these labels.
func options(t *testing.T, p runner.Program, labels string) runner.Options {
	t.Helper()
	return runner.Options{
		Program: p, Suite: "tiny", Cluster: "one", Dir: filepath.Join(t.TempDir(), "report"),
		Filter: report.Filter{Labels: labels}, Procs: 2, Seed: 7, Grace: 20 * time.Second,
	}
}

// outcome is a report in short: spec -> its state, then its attempts'.
func outcome(r *report.Report) map[string]string {
	out := map[string]string{}
	for _, s := range r.Specs {
		words := []string{string(s.State) + ":"}
		for _, a := range s.Attempts {
			words = append(words, cmpOr(a.State, "none"))
		}
		out[strings.TrimPrefix(s.Name, "tiny ")] = strings.TrimSuffix(strings.Join(words, " "), ":")
	}
	return out
}

func cmpOr(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

func spec(t *testing.T, r *report.Report, name string) report.Spec {
	t.Helper()
	i := slices.IndexFunc(r.Specs, func(s report.Spec) bool { return s.Name == "tiny "+name })
	if i < 0 {
		t.Fatalf("no spec %q in %v", name, outcome(r))
	}
	return r.Specs[i]
}

var plain = map[string]string{
	"passes":                 "passed: passed",
	"passes (too) [odd] a|b": "passed: passed",
	"runs alone":             "passed: passed",
	"fails":                  "failed: failed",
	"panics":                 "failed: panicked",
	"skips itself":           "skipped: skipped",
}

func TestRun(t *testing.T) {
	for name, suite := range map[string]func() (string, error){"streaming": streaming, "stock": stock} {
		for _, procs := range []int{1, 3} {
			t.Run(fmt.Sprint(name, procs), func(t *testing.T) {
				t.Parallel()
				rec := &recorder{}
				o := options(t, program(t, suite), "plain")
				o.Procs, o.Watch = procs, rec
				r, err := runner.Run(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(plain, outcome(r)); diff != "" {
					t.Errorf("outcome (-want +got):\n%s", diff)
				}
				for _, s := range r.Specs {
					line := fmt.Sprintf("end %s %s", strings.TrimPrefix(s.Name, "tiny "), s.Attempts[0].State)
					if told := slices.DeleteFunc(rec.all(), func(l string) bool { return l != line }); len(told) != 1 {
						t.Errorf("%q was told %d times", line, len(told))
					}
				}
				a := spec(t, r, "fails").Attempts[0]
				if a.Message != "one is not two" || !strings.Contains(a.Output, "what it wrote") || !strings.Contains(a.Location, "suite_test.go:") {
					t.Errorf("the failure is told as %+v", a)
				}
				if a := spec(t, r, "panics").Attempts[0]; !strings.Contains(a.Message, "at the disco") {
					t.Errorf("the panic is told as %+v", a)
				}
				if a := spec(t, r, "skips itself").Attempts[0]; a.Message != "not on this host" {
					t.Errorf("the skip is told as %+v", a)
				}
				if len(r.Incidents) > 0 || r.Interrupted != "" || r.Seed != 7 || r.Procs != procs {
					t.Errorf("report: %+v", r)
				}
			})
		}
	}
}

// recorder is a Watch that writes down what it hears.
type recorder struct {
	mu     sync.Mutex
	lines  []string
	onEach func(event.Event)
}

func (r *recorder) add(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, line)
}

func (r *recorder) Begin(b runner.Begin) {
	r.add(fmt.Sprintf("begin %d: %d specs, %d procs", b.Round, len(b.Specs), b.Procs))
}

func (r *recorder) Event(_ string, e event.Event) {
	r.add(strings.TrimSpace(fmt.Sprintf("%s %s %s", e.Kind, strings.TrimPrefix(e.Spec, "tiny "), e.State)))
	if r.onEach != nil {
		r.onEach(e)
	}
}

func (r *recorder) Incident(_, text string) { r.add("incident " + text) }

func (r *recorder) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.lines)
}

func TestRerun(t *testing.T) {
	for name, test := range map[string]struct {
		suite  func() (string, error)
		labels string
		want   map[string]string
	}{
		"streaming": {streaming, "flaky || bad", map[string]string{
			"fails at first": "flaky: failed passed",
			"fails":          "failed: failed failed failed",
			"panics":         "failed: panicked panicked panicked",
		}},
		"stock":                    {stock, "flaky", map[string]string{"fails at first": "flaky: failed passed"}},
		"by itself, streaming":     {streaming, "stubborn", map[string]string{"fails at first and tries again itself": "flaky: failed passed"}},
		"by itself, not streaming": {stock, "stubborn", map[string]string{"fails at first and tries again itself": "flaky: failed passed"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(t, program(t, test.suite), test.labels)
			o.RerunFailed = 2
			r, err := runner.Run(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, outcome(r)); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
		})
	}
}

// whenHanging does something as soon as the spec that hangs does.
func whenHanging(t *testing.T, p runner.Program, do func()) {
	t.Helper()
	path := filepath.Join(dirOf(p), "hanging")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for wait.For(t.Context(), 10*time.Millisecond) {
			if _, err := os.Stat(path); err == nil {
				do()
				return
			}
		}
	}()
	t.Cleanup(func() { <-done })
}

// dirOf is where specs leave files.
func dirOf(p runner.Program) string { return strings.TrimPrefix(p.Env[0], "SUITE_DIR=") }

func TestInterrupt(t *testing.T) {
	stop := errors.New("enough")
	for _, procs := range []int{1, 2} {
		t.Run(fmt.Sprint(procs), func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(t.Context())
			o := options(t, program(t, streaming), "hang || timed")
			o.Procs = procs
			whenHanging(t, o.Program, func() { cancel(stop) })
			r, err := runner.Run(ctx, o)
			var incomplete *runner.IncompleteError
			if !errors.As(err, &incomplete) || !errors.Is(err, stop) || incomplete.Planned != 8 {
				t.Fatalf("error: %v, outcome %q", err, outcome(r))
			}
			if s := spec(t, r, "hangs"); s.State != report.Missing || s.Attempts[0].State != "interrupted" {
				t.Errorf("the spec that hangs is %+v", s)
			}
			if r.Interrupted != "enough" || len(r.Incidents) > 0 {
				t.Errorf("interrupted: %q, incidents %+v", r.Interrupted, r.Incidents)
			}
			if _, err := os.Stat(filepath.Join(dirOf(o.Program), "cleaned")); err != nil {
				t.Errorf("the spec did not clean up: %v", err)
			}
			resume(t, o, incomplete.Ran)
		})
	}
}

// resume takes up an interrupted run, in which the spec that hangs will end.
func resume(t *testing.T, o runner.Options, ran int) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dirOf(o.Program), "never"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	rec := &recorder{}
	o.Watch, o.Resume = rec, true
	r, err := runner.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("begin 0: %d specs, %d procs", 8-ran, min(8-ran, o.Procs)); rec.all()[0] != want {
		t.Errorf("first heard: %q, want %q", rec.all()[0], want)
	}
	if got := outcome(r)["hangs"]; got != "passed: interrupted passed" {
		t.Errorf("the spec that hung: %s", got)
	}
	if r.Resumed != 1 || r.Interrupted != "" {
		t.Errorf("resumed %d times, interrupted %q", r.Resumed, r.Interrupted)
	}
	for _, s := range r.Specs {
		if s.State != report.Passed {
			t.Errorf("%s: %s", s.Name, s.State)
		}
	}
}

// TestFollowed sees that of a suite that tells nothing itself the ends of specs
// are heard while others run.
func TestFollowed(t *testing.T) {
	o := options(t, program(t, stock), "hang || timed")
	o.Deadline = time.Now().Add(time.Minute)
	rec := &recorder{}
	rec.onEach = func(e event.Event) {
		if strings.HasPrefix(e.Spec, "tiny takes its time") {
			_ = os.WriteFile(filepath.Join(dirOf(o.Program), "never"), nil, 0o644)
		}
	}
	o.Watch = rec
	r, err := runner.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if got := outcome(r)["hangs"]; got != "passed: passed" {
		t.Errorf("the spec that waits for others' ends: %s", got)
	}
	if told := slices.DeleteFunc(rec.all(), func(l string) bool { return !strings.HasPrefix(l, "end ") }); len(told) != 6 {
		t.Errorf("told: %q", told)
	}
}

func TestKill(t *testing.T) {
	for name, test := range map[string]struct {
		grace time.Duration
		do    func(cancel func(), kill chan struct{})
		want  string
	}{
		"at once":         {time.Minute, func(_ func(), kill chan struct{}) { close(kill) }, "killed"},
		"a second signal": {time.Minute, func(cancel func(), kill chan struct{}) { cancel(); close(kill) }, ""},
		"out of patience": {
			50 * time.Millisecond, func(cancel func(), _ chan struct{}) { cancel() },
			"context canceled, then killed: it had not ended after 50ms",
		},
	} {
		for _, procs := range []int{1, 2} {
			t.Run(fmt.Sprint(name, " ", procs), func(t *testing.T) {
				t.Parallel()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				kill := make(chan struct{})
				o := options(t, program(t, streaming), "deaf || odd")
				o.Procs, o.Kill, o.Grace = procs, kill, test.grace
				whenHanging(t, o.Program, func() { test.do(cancel, kill) })
				r, err := runner.Run(ctx, o)
				if want := " of 2 specs ran: " + test.want; err == nil || !strings.Contains(err.Error(), want) {
					t.Fatalf("error %v, want %s", err, want)
				}
				if len(r.Incidents) > 0 {
					t.Errorf("incidents: %+v", r.Incidents)
				}
				if got := outcome(r)["ignores everybody"]; got != "missing: none" {
					t.Errorf("the spec that was killed: %s", got)
				}
			})
		}
	}
}

func TestDeadProcess(t *testing.T) {
	for _, procs := range []int{1, 2} {
		t.Run(fmt.Sprint(procs), func(t *testing.T) {
			t.Parallel()
			rec := &recorder{}
			o := options(t, program(t, streaming), "die")
			o.Procs, o.Watch = procs, rec
			r, err := runner.Run(t.Context(), o)
			var incomplete *runner.IncompleteError
			if !errors.As(err, &incomplete) {
				t.Fatalf("error: %v", err)
			}
			if want := "1 of the suite's processes died"; !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want %s", err, want)
			}
			if got := outcome(r)["is killed at first"]; got != "missing: none" {
				t.Errorf("the spec that was killed: %s", got)
			}
			if len(r.Incidents) != 1 || !strings.Contains(r.Incidents[0].Text, `died while it ran "tiny is killed at first"`) {
				t.Errorf("incidents: %+v", r.Incidents)
			}
			o.Resume = true
			if r, err = runner.Run(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			if got := outcome(r)["is killed at first"]; got != "passed: none passed" {
				t.Errorf("the spec that was killed, resumed: %s", got)
			}
		})
	}
}

func TestOrderedTogether(t *testing.T) {
	o := options(t, program(t, streaming), "ordered")
	if _, err := runner.Run(t.Context(), o); err == nil {
		t.Fatal("the dead process was not noticed")
	}
	o.Resume = true
	r, err := runner.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"in order begins": "passed: passed passed", "in order goes on": "passed: none passed"}
	if diff := cmp.Diff(want, outcome(r)); diff != "" {
		t.Errorf("outcome (-want +got):\n%s", diff)
	}
}

func TestEvidence(t *testing.T) {
	p := program(t, streaming)
	cleaned := filepath.Join(strings.TrimPrefix(p.Env[0], "SUITE_DIR="), "cleaned")
	for name, test := range map[string]struct {
		err       error
		incidents int
	}{"had": {}, "not had": {errors.New("no node answers"), 1}} {
		t.Run(name, func(t *testing.T) {
			o := options(t, p, "evidence || odd")
			o.Evidence = func(ctx context.Context, e event.Event) (string, error) {
				if _, err := os.Stat(cleaned); err == nil {
					t.Error("the spec has already cleaned up")
				}
				if _, ok := ctx.Deadline(); !ok || e.RunID != "the-run" || e.Message != "look at me" {
					t.Errorf("asked for evidence with %v of %+v", ctx, e)
				}
				return "failures/it", test.err
			}
			r, err := runner.Run(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if a := spec(t, r, "waits for an answer").Attempts[0]; a.Evidence != "failures/it" || a.State != "failed" {
				t.Errorf("the attempt is %+v", a)
			}
			if len(r.Incidents) != test.incidents {
				t.Errorf("incidents: %+v", r.Incidents)
			}
			if err := os.Remove(cleaned); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSuiteThatCannotStart(t *testing.T) {
	for name, suite := range map[string]func() (string, error){"streaming": streaming, "stock": stock} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(t, program(t, suite), "plain")
			o.Env = append(o.Env, "SUITE_BROKEN=1")
			r, err := runner.Run(t.Context(), o)
			if err == nil || !strings.Contains(err.Error(), "0 of 6 specs ran") || !strings.Contains(err.Error(), "no cluster here") {
				t.Fatalf("error: %v", err)
			}
			for s, state := range outcome(r) {
				if state != "missing" {
					t.Errorf("%s: %s", s, state)
				}
			}
		})
	}
}

// TestMuch sees that a spec that says very much cannot fill the runner's memory.
func TestMuch(t *testing.T) {
	for _, suite := range []func() (string, error){streaming, stock} {
		r, err := runner.Run(t.Context(), options(t, program(t, suite), "much"))
		if err != nil {
			t.Fatal(err)
		}
		a := spec(t, r, "says very much").Attempts[0]
		if a.State != "failed" || len(a.Output) < 100<<10 || len(a.Output) > 256<<10 || len(a.Message) < 10<<10 || len(a.Message) > 65<<10 {
			t.Errorf("%s, %d bytes of message, %d of output", a.State, len(a.Message), len(a.Output))
		}
	}
}

func TestWorkDir(t *testing.T) {
	for _, procs := range []int{1, 2} {
		o := options(t, program(t, stock), "place || odd")
		o.Procs, o.WorkDir = procs, filepath.Join(t.TempDir(), "it's here")
		if err := os.Mkdir(o.WorkDir, 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := runner.Run(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(o.WorkDir, "here")); err != nil {
			t.Errorf("%d processes: %v", procs, err)
		}
	}
}

func TestDeadline(t *testing.T) {
	o := options(t, program(t, streaming), "hang")
	o.Deadline = time.Now().Add(time.Second)
	r, err := runner.Run(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "Suite Timeout Elapsed") {
		t.Errorf("error: %v", err)
	}
	if got := outcome(r)["hangs"]; got != "failed: timedout" {
		t.Errorf("the spec that hangs: %s", got)
	}
}

// TestDeadlineIsThatOfTheWholeRun: what failed is not run again after it.
func TestDeadlineIsThatOfTheWholeRun(t *testing.T) {
	o := options(t, program(t, streaming), "hang")
	o.Deadline, o.RerunFailed = time.Now().Add(time.Second), 3
	r, err := runner.Run(t.Context(), o)
	if got := outcome(r)["hangs"]; got != "failed: timedout" {
		t.Errorf("the spec that hangs: %s (%v)", got, err)
	}
	rec := &recorder{}
	o.Resume, o.Watch = true, rec
	if _, err := runner.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "the time for the run is over") {
		t.Errorf("error: %v", err)
	}
	if told := rec.all(); len(told) > 0 {
		t.Errorf("told %q", told)
	}
}

// TestDeafAtTheDeadline sees that a suite that does not end by itself is ended.
func TestDeafAtTheDeadline(t *testing.T) {
	o := options(t, program(t, stock), "deaf")
	o.Deadline, o.Grace, o.Procs = time.Now().Add(time.Second), time.Second, 1
	_, err := runner.Run(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "the time for the run is over, then killed: it had not ended after 1s") {
		t.Errorf("error: %v", err)
	}
}

func TestLongestFirst(t *testing.T) {
	rec := &recorder{}
	o := options(t, program(t, streaming), "timed")
	o.Procs, o.Watch, o.GinkgoFlags = 1, rec, []string{"--randomize-all"} // as Kubernetes' suite does
	o.Timings = map[string]float64{
		"tiny takes its time: a": 40, "tiny takes its time: b": 1, "tiny takes its time: c [Slow]": 50,
		"tiny takes its time: d": 0, "tiny takes its time: f": 45, "tiny takes its time: g": 42,
		// and e is not known
	}
	if _, err := runner.Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, line := range rec.all() {
		if name, ok := strings.CutPrefix(line, "start takes its time: "); ok {
			order = append(order, name)
		}
	}
	if diff := cmp.Diff([]string{"c [Slow]", "f", "g", "a", "e", "b", "d"}, order); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

// TestPriority runs a test of what is compiled into the suite.
func TestPriority(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), program(t, streaming).Path, "-test.run=^TestPriority$").CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestBadInput(t *testing.T) {
	p := program(t, stock)
	for name, test := range map[string]struct {
		set  func(o *runner.Options)
		want string
	}{
		"nothing matches":    {func(o *runner.Options) { o.Filter.Labels = "unheard-of" }, "no spec of the suite matches"},
		"a bad filter":       {func(o *runner.Options) { o.Filter.Labels = "((" }, "planning the suite: "},
		"no program":         {func(o *runner.Options) { o.Path = "/nowhere/e2e.test" }, "looking at the suite: stat /nowhere/e2e.test"},
		"not compiled":       {func(o *runner.Options) { o.Path = "suite_test.go" }, "suite_test.go is no compiled suite"},
		"no CLI":             {func(o *runner.Options) { o.Ginkgo = "" }, "2 processes need ginkgo's program"},
		"no process":         {func(o *runner.Options) { o.Procs = 0 }, "0 processes cannot run a suite"},
		"nothing to take up": {func(o *runner.Options) { o.Resume = true }, " holds no run to take up"},
		"no folder":          {func(o *runner.Options) { o.Dir = "/proc/report" }, "making the report's folder: "},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t, p, "plain")
			test.set(&o)
			if _, err := runner.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %s", err, test.want)
			}
		})
	}
	t.Run("a second time", func(t *testing.T) {
		o := options(t, p, "odd")
		if _, err := runner.Run(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		if _, err := runner.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "already holds a run") {
			t.Errorf("error: %v", err)
		}
	})
}

func TestPlan(t *testing.T) {
	plan, err := runner.MakePlan(t.Context(), program(t, stock), report.Filter{Labels: "plain || ordered", Skip: []string{"panics"}})
	if err != nil {
		t.Fatal(err)
	}
	serial, grouped := 0, map[string]int{}
	for _, s := range plan.Specs {
		if s.Serial {
			serial++
		}
		grouped[s.Group]++
	}
	sizes := slices.Sorted(maps.Values(grouped))
	if len(plan.Specs) != 7 || serial != 1 || !slices.Equal(sizes, []int{2, 5}) || plan.Description != "a tiny suite" {
		t.Errorf("plan: %+v", plan)
	}
}
