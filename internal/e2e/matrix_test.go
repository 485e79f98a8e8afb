package e2e

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/internal/cluster"
	"github.com/kluster-project/kluster/internal/failure"
)

// matrixOf is a matrix of some runtimes, on clusters with their names.
func matrixOf(t *testing.T, runtimes ...string) MatrixOptions {
	t.Helper()
	opt := MatrixOptions{Options: Options{Suite: specs, Dir: filepath.Join(t.TempDir(), "matrix")}}
	for _, name := range runtimes {
		cfg := toCreate(name).Create[0]
		cfg.Runtime = name
		for i := range cfg.Nodes {
			cfg.Nodes[i].Runtime = name
		}
		opt.Combinations = append(opt.Combinations, Combination{Name: name, Runtime: name, Cluster: cfg})
	}
	return opt
}

// TestMatrix: one of the specs passes on the cluster of that name alone.
func TestMatrix(t *testing.T) {
	t.Setenv("WANT_CLUSTER", "containerd")
	r, clusters := newRunner(t)
	clusters.refuse = map[string]error{"broken": errors.New("no room")}
	opt := matrixOf(t, "containerd", "broken", "cri-o")
	opt.Combinations = append(opt.Combinations, Combination{Name: "odd", Runtime: "odd", Refused: errors.New("there is none")})
	m, err := r.Matrix(t.Context(), opt)
	if m == nil || !errors.Is(err, clusters.refuse["broken"]) {
		t.Fatalf("%v, %v", m, err)
	}
	if diff := cmp.Diff([]string{"containerd", "cri-o"}, clusters.deleted); diff != "" {
		t.Errorf("deleted %s", diff)
	}
	c := m.Comparison
	if diff := cmp.Diff([]report.NotRun{{Name: "broken", Reason: "no room"}, {Name: "odd", Reason: "there is none"}}, c.NotRun); diff != "" {
		t.Error(diff)
	}
	if len(c.Reports) != 2 || c.Count(report.StateDiffers) != 1 {
		t.Errorf("%+v", c)
	}
	if a, b := m.Outcomes[0].Report.Seed, m.Outcomes[2].Report.Seed; a == 0 || a != b {
		t.Errorf("seeds %d and %d", a, b)
	}
	for _, name := range []string{ComparisonFile, ComparisonHTMLFile, ComparisonTextFile, "containerd/" + HTMLFile, "cri-o/" + report.FileName} {
		text, err := os.ReadFile(filepath.Join(opt.Dir, name))
		if err != nil || len(text) == 0 {
			t.Errorf("%s: %v", name, err)
		}
		if strings.HasPrefix(name, "comparison") && !strings.Contains(string(text), "there is none") {
			t.Errorf("%s does not tell what did not run", name)
		}
	}
	if _, err := r.Matrix(t.Context(), opt); failure.Code(err) != failure.CodeUsage || !strings.Contains(err.Error(), "holds other runs") {
		t.Errorf("again: %v", err)
	}
}

// TestNothingOfAMatrixStartsByMistake: a mistake that all runs share is told once.
func TestNothingOfAMatrixStartsByMistake(t *testing.T) {
	r, clusters := newRunner(t)
	for name, change := range map[string]func(*MatrixOptions){
		"focus": func(o *MatrixOptions) { o.Filter.Focus = []string{"nowhere"} },
		"all refused": func(o *MatrixOptions) {
			o.Combinations = []Combination{{Name: "x", Refused: usageError(errors.New("bad"), "")}}
		},
		"no such spec": func(o *MatrixOptions) { o.Expectations = knownFailure(t, "cri-o", "nowhere") },
		"not of it":    func(o *MatrixOptions) { o.Expectations = knownFailure(t, "cri-dockerd", "handover fails") },
	} {
		opt := matrixOf(t, "containerd", "cri-o")
		change(&opt)
		m, err := r.Matrix(t.Context(), opt)
		if m != nil || failure.Code(err) != failure.CodeUsage {
			t.Errorf("%s: %v, %v", name, m, err)
		}
		if _, err := os.Stat(opt.Dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: a folder is left: %v", name, err)
		}
	}
	if len(clusters.created) > 0 {
		t.Errorf("created %v", clusters.created)
	}
}

// waitingClusters tell of each create and let a test act in it.
type waitingClusters struct {
	*fakeClusters
	mu sync.Mutex
	in func(ctx context.Context) error
}

func (w *waitingClusters) Create(ctx context.Context, opt cluster.CreateOptions) (*cluster.Summary, error) {
	if err := w.in(ctx); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.fakeClusters.Create(ctx, opt)
}

func (w *waitingClusters) Delete(ctx context.Context, name, kubeconfig string) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.fakeClusters.Delete(ctx, name, kubeconfig)
}

func TestAnInterruptedMatrixBeginsNothingMore(t *testing.T) {
	r, clusters := newRunner(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	r.Clusters = &waitingClusters{fakeClusters: clusters, in: func(ctx context.Context) error {
		cancel(failure.ErrInterrupted)
		return context.Cause(ctx)
	}}
	m, err := r.Matrix(ctx, matrixOf(t, "containerd", "cri-o"))
	if m != nil || !errors.Is(err, failure.ErrInterrupted) || len(clusters.created) > 0 {
		t.Errorf("%v, %v, created %v", m, err, clusters.created)
	}
}

func TestSeveralRunsOfAMatrixAtOnce(t *testing.T) {
	r, clusters := newRunner(t)
	var both sync.WaitGroup
	both.Add(2)
	r.Clusters = &waitingClusters{fakeClusters: clusters, in: func(context.Context) error {
		both.Done()
		both.Wait() // for ever, if they come one after the other
		return nil
	}}
	opt := matrixOf(t, "containerd", "cri-o")
	opt.AtOnce = 2
	opt.Filter.Focus = []string{"handover fails"}
	opt.Expectations = knownFailure(t, "containerd", "handover fails")
	m, err := r.Matrix(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(clusters.deleted)
	if diff := cmp.Diff([]string{"containerd", "cri-o"}, clusters.deleted); diff != "" {
		t.Error(diff)
	}
	if s := m.Outcomes[0].Report.Specs[0].State; s != report.ExpectedFailure {
		t.Errorf("containerd: %s", s)
	}
	if s := m.Outcomes[1].Report.Specs[0].State; s != report.Failed {
		t.Errorf("a list of another runtime: %s", s)
	}
}
