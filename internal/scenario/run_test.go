package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/fault"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/status"
)

// fake is a cluster of three control planes, a worker and a load balancer, all of which
// are well unless a test says otherwise.
type fake struct {
	mu       sync.Mutex
	leader   string
	unready  map[string]string
	down     map[string]bool // no API
	pods     error
	code     int
	takes    time.Duration // a command
	refuse   error
	stuck    error // clearing fails
	active   []fault.Active
	told     []string
	specs    []fault.Spec
	cleaned  bool
	onFault  func()
	podsSeen int
}

func newFake() *fake {
	return &fake{leader: "c-control-plane-2", unready: map[string]string{}, down: map[string]bool{}}
}

func (f *fake) Name() string { return "c" }

func (f *fake) Machines(context.Context) ([]Machine, error) {
	all := []Machine{{"c-lb", nodespec.RoleLoadBalancer, true}, {"c-worker-1", nodespec.RoleWorker, true}}
	for i := 3; i > 0; i-- {
		all = append(all, Machine{fmt.Sprintf("c-control-plane-%d", i), nodespec.RoleControlPlane, true})
	}
	slices.SortFunc(all, func(a, b Machine) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

func (f *fake) Leader(context.Context) (string, error) { return f.leader, nil }

func (f *fake) Fault(_ context.Context, spec fault.Spec) (*fault.Active, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse != nil {
		return nil, f.refuse
	}
	spec, err := spec.Complete()
	if err != nil {
		return nil, err
	}
	a := fault.Active{ID: fmt.Sprintf("fault%d", len(f.specs)), Kind: spec.Kind, Nodes: spec.Nodes, Since: time.Now(), Until: time.Now().Add(spec.For)}
	f.specs = append(f.specs, spec)
	f.active = append(f.active, a)
	f.told = append(f.told, fmt.Sprintf("%s %s", spec.Kind, strings.Join(spec.Nodes, ",")))
	if f.onFault != nil {
		f.onFault()
	}
	return &a, nil
}

func (f *fake) Faults(context.Context) ([]fault.Active, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.active = slices.DeleteFunc(f.active, func(a fault.Active) bool { return !a.Until.After(time.Now()) })
	return slices.Clone(f.active), nil
}

func (f *fake) Clear(_ context.Context, ids []string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stuck != nil {
		return f.stuck
	}
	f.told = append(f.told, "clear "+strings.Join(ids, ","))
	f.active = slices.DeleteFunc(f.active, func(a fault.Active) bool { return slices.Contains(ids, a.ID) })
	return nil
}

func (f *fake) Unready(context.Context) (map[string]string, error) { return f.unready, nil }

func (f *fake) Answers(_ context.Context, m Machine) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down[m.Name] {
		return errors.New("connection refused")
	}
	return nil
}

func (f *fake) Write(ctx context.Context, m Machine) error { return f.Answers(ctx, m) }

func (f *fake) PodsReady(context.Context, Pods) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.podsSeen++
	return f.pods
}

func (f *fake) Command(ctx context.Context, _ []string) (int, string, error) {
	select {
	case <-ctx.Done():
		return 0, "waiting\n", errors.New("signal: killed")
	case <-time.After(f.takes):
		return f.code, "oh no\n", nil
	}
}

func (f *fake) CleanUp(context.Context) error { f.cleaned = true; return nil }

// runs parses and runs a scenario on a fake cluster, in no time.
func runs(t *testing.T, f *fake, steps string) (*Report, error) {
	t.Helper()
	return runsIn(t.Context(), t, f, steps)
}

func runsIn(ctx context.Context, t *testing.T, f *fake, steps string) (*Report, error) {
	t.Helper()
	s, err := Parse("f", []byte("name: s\nsteps:\n"+steps))
	if err != nil {
		t.Fatal(err)
	}
	return Run(ctx, s, f, DefaultTiming, status.Discard)
}

func states(steps []*StepReport) []State {
	var all []State
	for _, s := range steps {
		all = append(all, s.State)
		all = append(all, states(s.Steps)...)
	}
	return all
}

func TestRunPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		report, err := runs(t, f, `
- check: {that: {ready: [all]}}
- fault: {kind: kill, nodes: [leader], for: 20s, as: victim}
- fault: {kind: loss, nodes: [$victim, worker/1, load-balancer], from: [control-plane/all], for: 20s, params: {percent: 5}}
- wait: {for: 5s}
- parallel:
  - check: {that: {answers: [load-balancer]}}
  - check: {that: {writes: [followers]}, during: 3s}
- wait: {until: {undone: true}}
- clear: true
- check: {that: {command: {args: [x]}}}
`)
		if err != nil || !report.Passed {
			t.Fatalf("%+v, %v", report, err)
		}
		want := []string{
			"kill c-control-plane-2", "loss c-control-plane-2,c-worker-1,c-lb", "clear fault0,fault1",
		}
		if diff := cmp.Diff(want, f.told); diff != "" {
			t.Error(diff)
		}
		if got := f.specs[1].Params; got["from"] != "c-control-plane-1,c-control-plane-3" || got["percent"] != "5" {
			t.Errorf("parameters %v", got)
		}
		if report.Seconds < 20 || report.Seconds > 21 || report.Steps[3].Seconds != 5 || report.Steps[4].Seconds != 3 {
			t.Errorf("seconds: %+v", report)
		}
		if !f.cleaned || report.Steps[len(report.Steps)-1].Name != "clean up" {
			t.Error("what writes left was not removed")
		}
	})
}

// TestRunFails: a step that fails ends the scenario, the report says which and why, and
// the faults are undone.
func TestRunFails(t *testing.T) {
	for _, tc := range []struct {
		name, step, want string
		damage           func(f *fake)
	}{
		{"not ready", "check: {that: {ready: [worker/1]}, within: 5s}", "not within 5s: c-worker-1 is not Ready: asleep", func(f *fake) { f.unready["c-worker-1"] = "asleep" }},
		{"ready", "check: {that: {notReady: [worker/1]}}", "c-worker-1 is Ready", nil},
		{"silence", "check: {that: {answers: [control-plane/1]}}", "the API by way of c-control-plane-1: connection refused", func(f *fake) { f.down["c-control-plane-1"] = true }},
		{"answers", "check: {that: {silent: [control-plane/1]}}", "it answers", nil},
		{"writes", "check: {that: {refuses: [load-balancer]}}", "it acknowledges writes", nil},
		{"pods", "check: {that: {pods: {namespace: a}}}", "none", func(f *fake) { f.pods = errors.New("none") }},
		{"fault", "wait: {until: {undone: true}, timeout: 3s}", "not within 3s: kill of c-worker-1 lasts until", nil},
		{"command", "check: {that: {command: {args: [x]}}}", "x ended with code 7, not 0: oh no", func(f *fake) { f.code = 7 }},
		{"nobody", "check: {that: {ready: [moon]}}", `"moon" selects no node of the cluster`, nil},
		{"too far", "fault: {kind: kill, nodes: [worker/2]}", "there is no worker/2: the cluster has 1", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				if tc.damage != nil {
					tc.damage(f)
				}
				report, err := runs(t, f, "- fault: {kind: kill, nodes: [worker/1], for: 30s}\n- {name: the step, "+tc.step+"}\n- clear: true\n")
				if err == nil || !strings.Contains(err.Error(), "the step: ") || !strings.Contains(err.Error(), tc.want) || failure.Code(err) != failure.CodeFailed {
					t.Errorf("got %v", err)
				}
				if diff := cmp.Diff([]State{Passed, Failed, Skipped, Passed}, states(report.Steps)); diff != "" {
					t.Error(diff)
				}
				if report.Passed || !strings.Contains(report.Steps[1].Error, tc.want) || strings.Contains(report.Steps[1].Error, "the step") {
					t.Errorf("report %+v", report.Steps[1])
				}
				if left, _ := f.Faults(t.Context()); len(left) > 0 {
					t.Errorf("faults are left: %v", left)
				}
			})
		})
	}
}

// TestCommandsThatWait: a command has as long as its step has, and at least as long as
// others are asked.
func TestCommandsThatWait(t *testing.T) {
	for _, tc := range []struct {
		name, step, want string
		takes            time.Duration
		seconds          float64
	}{
		{"a check", "check: {that: {command: {args: [x]}}, within: 1m}", "", 50 * time.Second, 50},
		{"a wait", "wait: {until: {command: {args: [x]}}}", "", 50 * time.Second, 50},
		{"a check that goes on", "check: {that: {command: {args: [x]}}, within: 20s, during: 12s}", "", 10 * time.Second, 31},
		{"too long", "check: {that: {command: {args: [x]}}, within: 1m}", "not within 1m0s: x did not end: waiting", 2 * time.Minute, 60},
		{"too long at once", "check: {that: {command: {args: [x]}}}", "x did not end: waiting", 6 * time.Second, 5},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				f.takes = tc.takes
				report, err := runs(t, f, "- "+tc.step+"\n")
				if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
					t.Errorf("got %v", err)
				}
				if report.Steps[0].Seconds != tc.seconds {
					t.Errorf("%v s", report.Steps[0].Seconds)
				}
			})
		})
	}
}

func TestRunGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		go func() { time.Sleep(2 * time.Second); f.mu.Lock(); f.down["c-lb"] = true; f.mu.Unlock() }()
		_, err := runs(t, f, "- check: {that: {answers: [load-balancer]}, during: 5s}")
		if err == nil || !strings.Contains(err.Error(), "no more after 2") {
			t.Errorf("got %v", err)
		}
	})
}

func TestParallelGoesOnWithoutTheFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		report, err := runs(t, newFake(), `
- parallel:
  - check: {that: {notReady: [all]}}
  - wait: {for: 3s}
- wait: {for: 1s}
`)
		if err == nil || report.Steps[0].Seconds != 3 {
			t.Errorf("%+v, %v", report.Steps[0], err)
		}
		if diff := cmp.Diff([]State{Failed, Failed, Passed, Skipped}, states(report.Steps)); diff != "" {
			t.Error(diff)
		}
	})
}

// TestInterrupted: an interruption ends the step and undoes the faults at once.
func TestInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		ctx, cancel := context.WithCancelCause(t.Context())
		f.onFault = func() { time.AfterFunc(time.Second, func() { cancel(failure.ErrInterrupted) }) }
		report, err := runsIn(ctx, t, f, "- fault: {kind: kill, nodes: [leader], for: 1m}\n- wait: {for: 10m}\n")
		if !errors.Is(err, failure.ErrInterrupted) || report.Seconds != 1 {
			t.Errorf("%v after %v s", err, report.Seconds)
		}
		if diff := cmp.Diff([]State{Passed, Interrupted, Passed}, states(report.Steps)); diff != "" {
			t.Error(diff)
		}
		if len(f.active) > 0 {
			t.Error("a fault is left")
		}
	})
}

func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := Parse("f", []byte("name: s\ntimeout: 5s\nsteps:\n- wait: {for: 1m}\n"))
		if err != nil {
			t.Fatal(err)
		}
		report, err := Run(t.Context(), s, newFake(), DefaultTiming, status.Discard)
		if err == nil || !strings.Contains(err.Error(), "scenario s did not end within 5s") || report.Steps[0].State != Failed {
			t.Errorf("%+v, %v", report.Steps[0], err)
		}
	})
}

func TestNeeds(t *testing.T) {
	s, err := Parse("f", []byte("name: s\nneeds: {controlPlanes: 5, workers: 1}\nsteps:\n- clear: true\n"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Run(t.Context(), s, newFake(), DefaultTiming, status.Discard)
	if failure.Code(err) != failure.CodeUsage || !strings.Contains(err.Error(), "5 running nodes of role control-plane, and the cluster has 3") {
		t.Errorf("got %v", err)
	}
}

func TestCleanUpThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.stuck = errors.New("stuck")
		report, err := runs(t, f, "- fault: {kind: pause, nodes: [leader], for: 1m}\n")
		if err == nil || !strings.Contains(err.Error(), "cleaning up: stuck") || report.Passed {
			t.Errorf("got %v", err)
		}
	})
}

func TestRefusedFault(t *testing.T) {
	f := newFake()
	f.refuse = failure.New("the kernel cannot", failure.Exit(failure.CodeHost))
	if _, err := runs(t, f, "- fault: {kind: latency, nodes: [leader]}\n"); failure.Code(err) != failure.CodeHost {
		t.Errorf("got %v", err)
	}
}
