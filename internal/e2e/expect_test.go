package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kluster-project/kluster/e2e/expect"
	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/internal/failure"
)

// knownFailure is a list with one spec.
func knownFailure(t *testing.T, runtime, spec string) *expect.Table {
	t.Helper()
	file := filepath.Join(t.TempDir(), "known.yaml")
	text := "runtime: " + runtime + "\nkubernetes: v1.36\nfailures:\n- {spec: " + spec + ", reason: it must, issue: 'https://example.invalid/1'}\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	table, err := expect.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestAKnownFailureFailsNoRun(t *testing.T) {
	t.Setenv("WANT_CLUSTER", "c")
	r, _ := newRunner(t)
	got, err := r.Run(t.Context(), Options{
		Suite: specs, Dir: filepath.Join(t.TempDir(), "report"), Target: toCreate("c"), Expectations: knownFailure(t, "containerd", "handover fails"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if s := got.Summarize(); s.Passed != 1 || s.ExpectedFailures != 1 || s.Verdict != report.VerdictOK {
		t.Errorf("summary %+v", s)
	}
}

func TestListsThatAreOfSomethingElse(t *testing.T) {
	r, clusters := newRunner(t)
	mixed := toCreate("c")
	mixed.Create[0].Nodes[1].Runtime = "cri-o"
	for name, test := range map[string]struct {
		opt  Options
		want string
	}{
		"another runtime": {Options{Suite: specs, Expectations: knownFailure(t, "cri-o", "handover fails")}, "are of cri-o with Kubernetes v1.36"},
		"another suite":   {Options{Suite: specs, Expectations: knownFailure(t, "containerd\nsuite: cri", "handover fails")}, "suite cri on containerd"},
		"no such spec":    {Options{Suite: specs, Expectations: knownFailure(t, "containerd", "handover fail")}, `did you mean "handover fails"?`},
		"a mixed cluster": {Options{Suite: specs, Target: mixed, Expectations: knownFailure(t, "containerd", "handover fails")}, "several container runtimes"},
		"certification":   {Options{Suite: "conformance", Certification: &Certification{}, Expectations: knownFailure(t, "containerd", "x")}, "no failures that are expected"},
	} {
		if test.opt.Create == nil {
			test.opt.Target = toCreate("c")
		}
		test.opt.Dir = filepath.Join(t.TempDir(), "report")
		if _, err := r.Run(t.Context(), test.opt); failure.Code(err) != failure.CodeUsage || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(clusters.created) > 0 {
		t.Errorf("created %v", clusters.created)
	}
}
