package bench

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
)

// TestTurns sees that the floor is measured before every cluster and that tools
// and cases take turns within each round.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, calls := newFakeRun(newFakeEngine(), fakeTool(klusterName), fakeTool(kindName))
		r.opt.Cases = []Case{Cases[0], Cases[2]}
		if err := r.rounds(t.Context()); err != nil {
			t.Fatal(err)
		}
		var want []string
		for range 2 {
			for _, c := range []string{"1", "3"} {
				for _, tool := range []string{klusterName, kindName} {
					name := "bench-" + tool + "-" + c
					want = append(want, "floor", tool+" create "+c+" "+name, tool+" delete "+name)
				}
			}
		}
		if diff := cmp.Diff(want, *calls); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if err := r.report.Failed(); err != nil {
			t.Errorf("%v: %v", err, r.report.failures())
		}
	})
}

func TestFloorAlone(t *testing.T) {
	r, calls := newFakeRun(newFakeEngine(), fakeTool(klusterName))
	if err := r.rounds(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"floor", "floor"}, *calls); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestSample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newFakeEngine()
		tool := fakeTool(klusterName)
		r, _ := newFakeRun(e, tool)
		r.opt.Idle = time.Hour
		s := r.measure(t.Context(), tool, Cases[1], 7)
		want := Sample{
			Round: 7, Tool: klusterName, Case: "1+2", Kubelet: "v1.36.3", ReturnedSeconds: 3, DeleteSeconds: 1,
			CPUSeconds: 7, ToolCPUSeconds: 1, MemoryBytes: 3 * 121,
			Containers: []ContainerUse{
				{Name: "bench-kluster-1-2-0", Role: roleControlPlane, MemoryBytes: 119, DiskBytes: 1000},
				{Name: "bench-kluster-1-2-1", Role: roleWorker, MemoryBytes: 119, DiskBytes: 2000},
				{Name: "bench-kluster-1-2-2", Role: roleWorker, MemoryBytes: 119, DiskBytes: 3000},
			},
		}
		want.MemoryBytes = 3 * 119
		want.Load = s.Load
		// The fake's clock moves only while something waits.
		want.APISeconds, want.ReadySeconds, want.UsableSeconds = s.APISeconds, s.ReadySeconds, s.UsableSeconds
		if diff := cmp.Diff(want, s); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if s.UsableSeconds < s.ReadySeconds || s.UsableSeconds > 1 {
			t.Errorf("usable after %g s, all Ready after %g s", s.UsableSeconds, s.ReadySeconds)
		}
	})
}

// TestFailures sees that what fails is told and that the cluster goes whatever
// has failed.
func TestFailures(t *testing.T) {
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		edit func(*run, *fakeEngine)
		want string
		// returned and deleted: these figures are there all the same.
		returned bool
	}{
		"create": {edit: func(r *run, _ *fakeEngine) {
			good := r.exec
			r.exec = func(ctx context.Context, c Command) (Outcome, error) {
				out, err := good(ctx, c)
				if c.Args[0] == "create" {
					return Outcome{}, broken
				}
				return out, err
			}
		}, want: "broken"},
		"counters": {edit: func(_ *run, e *fakeEngine) { e.useErr = broken }, want: "broken", returned: true},
		"never usable": {edit: func(r *run, e *fakeEngine) {
			good := r.exec
			r.exec = func(ctx context.Context, c Command) (Outcome, error) {
				out, err := good(ctx, c)
				if c.Args[0] == "create" {
					e.mu.Lock()
					clear(e.files)
					e.mu.Unlock()
				}
				return out, err
			}
			r.opt.Timeout = time.Hour
		}, want: "3m0s after the tool had returned", returned: true},
		"left behind": {edit: func(r *run, e *fakeEngine) {
			good := r.exec
			r.exec = func(ctx context.Context, c Command) (Outcome, error) {
				if c.Args[0] == "delete" {
					return Outcome{}, nil
				}
				return good(ctx, c)
			}
		}, want: "after delete", returned: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newFakeEngine()
				tool := fakeTool(klusterName)
				r, _ := newFakeRun(e, tool)
				test.edit(r, e)
				s := r.measure(t.Context(), tool, Cases[0], 1)
				if !strings.Contains(s.Error, test.want) {
					t.Errorf("error is %q, want %q", s.Error, test.want)
				}
				if (s.ReturnedSeconds > 0) != test.returned {
					t.Errorf("returned after %g s", s.ReturnedSeconds)
				}
				if len(e.clusters) > 0 {
					t.Errorf("left: %v", e.clusters)
				}
				if !slices.Equal(e.purged, []string{"kluster.cluster=bench-kluster-1"}) {
					t.Errorf("purged: %v", e.purged)
				}
			})
		})
	}
}

// TestTaken sees that a cluster that was there before is left alone.
func TestTaken(t *testing.T) {
	e := newFakeEngine()
	tool := fakeTool(klusterName)
	e.newContainers(tool, Cases[0], "bench-kluster-1")
	r, calls := newFakeRun(e, tool)
	s := r.measure(t.Context(), tool, Cases[0], 1)
	if !strings.Contains(s.Error, "there already") || len(*calls) > 0 || len(e.purged) > 0 {
		t.Errorf("error %q, calls %v, purged %v", s.Error, *calls, e.purged)
	}
}

// TestInterrupted sees that an interrupted run deletes its cluster, in a context
// that still lives, and measures no more.
func TestInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		interrupted := errors.New("interrupted")
		e := newFakeEngine()
		tool := fakeTool(klusterName)
		r, calls := newFakeRun(e, tool)
		r.opt.Cases = Cases
		good := r.exec
		r.exec = func(ctx context.Context, c Command) (Outcome, error) {
			out, err := good(ctx, c)
			if c.Args[0] == "create" {
				cancel(interrupted)
				return out, interrupted
			}
			return out, errors.Join(err, ctx.Err())
		}
		if err := r.rounds(ctx); !errors.Is(err, interrupted) {
			t.Errorf("got %v", err)
		}
		want := []string{"floor", "kluster create 1 bench-kluster-1", "kluster delete bench-kluster-1"}
		if diff := cmp.Diff(want, *calls); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if len(e.clusters) > 0 {
			t.Errorf("left: %v", e.clusters)
		}
	})
}

// TestKindGivesUp sees that a kind that fails at once is asked once, and that
// the report says why.
func TestKindGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kluster, kind := fakeTool(klusterName), fakeTool(kindName)
		r, calls := newFakeRun(newFakeEngine(), kluster, kind)
		r.opt.Cases = Cases[:2]
		good := r.exec
		r.exec = func(ctx context.Context, c Command) (Outcome, error) {
			out, err := good(ctx, c)
			if c.Program == kindName && c.Args[0] == "create" {
				return out, errors.New("no privileged containers")
			}
			return out, err
		}
		if err := r.rounds(t.Context()); err != nil {
			t.Fatal(err)
		}
		asked := map[string]int{}
		for _, c := range *calls {
			tool, rest, _ := strings.Cut(c, " ")
			if strings.HasPrefix(rest, "create") {
				asked[tool]++
			}
		}
		if diff := cmp.Diff(map[string]int{klusterName: 4, kindName: 1}, asked); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if told := strings.Join(r.report.failures(), "\n"); !strings.Contains(r.report.KindNote, "recorded") || !strings.Contains(told, "no privileged containers") {
			t.Errorf("note is %q, failures are %q", r.report.KindNote, told)
		}
	})
}

// TestAddWorker sees that a verb that adds a worker is measured, on one node only.
func TestAddWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newFakeEngine()
		tool := fakeTool(klusterName)
		tool.AddWorker = func(cluster, _ string) Command {
			return Command{Program: klusterName, Args: []string{"add", cluster}}
		}
		r, calls := newFakeRun(e, tool)
		r.opt.Cases, r.opt.Rounds = Cases[:2], 1
		client := usableClient(e, "")
		r.connect = func(conf []byte, _ string) (kubernetes.Interface, error) {
			if string(conf) == "bench-kluster-1" {
				return client, nil
			}
			return usableClient(e, string(conf)), nil
		}
		good := r.exec
		r.exec = func(ctx context.Context, c Command) (Outcome, error) {
			added := ""
			switch {
			case c.Args[0] == "add":
				*calls = append(*calls, "add to "+c.Args[1])
				time.Sleep(2 * time.Second) // of the fake clock
				added = "more"
			case c.Args[0] == "create" && c.Args[1] == "1":
				added = "first"
			}
			if added != "" {
				if err := client.Tracker().Add(node(added, corev1.ConditionTrue)); err != nil {
					t.Error(err)
				}
			}
			if c.Args[0] == "add" {
				return Outcome{}, nil
			}
			return good(ctx, c)
		}
		if err := r.rounds(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := r.report.Failed(); err != nil {
			t.Fatal(r.report.failures())
		}
		if got := r.report.Samples[0].AddSeconds; got < 2 || got > 2.5 {
			t.Errorf("the worker was Ready after %g s", got)
		}
		if got := r.report.Samples[1].AddSeconds; got != 0 {
			t.Errorf("a worker was added to three nodes, in %g s", got)
		}
		if n := strings.Count(strings.Join(*calls, ","), "add to bench-kluster-1"); n != 1 {
			t.Errorf("calls: %v", *calls)
		}
	})
}

// TestKindOfAnotherVersion sees that unlike things are not compared in silence.
func TestKindOfAnotherVersion(t *testing.T) {
	for version, want := range map[string]string{"v1.36.3": "", "v1.35.0": "it ran Kubernetes v1.36.3, not v1.35.0"} {
		synctest.Test(t, func(t *testing.T) {
			r, _ := newFakeRun(newFakeEngine(), fakeTool(kindName))
			r.opt.Cases, r.report.Versions.Kubernetes = Cases[:1], version
			if err := r.rounds(t.Context()); err != nil {
				t.Fatal(err)
			}
			if r.report.KindNote != want {
				t.Errorf("note is %q, want %q", r.report.KindNote, want)
			}
		})
	}
}
