package cli

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/e2e"
	"github.com/kluster-project/kluster/internal/failure"
)

// combined are the combinations of a command line.
func combined(t *testing.T, args ...string) []e2e.Combination {
	t.Helper()
	a := quietApp()
	a.deps.Config = func() (config.Options, error) {
		return config.Options{KubernetesVersions: []string{"v1.36.3"}, Runtimes: []string{"containerd", "cri-o"}, OCIRuntimes: []string{"runc", "crun"}}, nil
	}
	var all []e2e.Combination
	cmd := newE2EMatrixCmd(a, func(_ context.Context, a *app, o *e2eMatrixOptions) error { all = a.combinations(o); return nil })
	cmd.SetArgs(append(args, "--report-dir", "/r"))
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestCombinations(t *testing.T) {
	all := combined(t, "--runtimes", "containerd,cri-o", "--oci-runtimes", "runc,crun", "--workers", "3", "--name", "m", "--focus", "Pods")
	var names, clusters []string
	for _, c := range all {
		names, clusters = append(names, c.Name), append(clusters, c.Cluster.Name)
	}
	if diff := cmp.Diff([]string{"containerd-runc", "containerd-crun", "cri-o-runc", "cri-o-crun"}, names); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"m-containerd-runc", "m-containerd-crun", "m-cri-o-runc", "m-cri-o-crun"}, clusters); diff != "" {
		t.Error(diff)
	}
	last := all[3]
	for _, n := range last.Cluster.Nodes {
		if n.Runtime != "cri-o" || n.OCIRuntime != "crun" {
			t.Errorf("node %+v", n)
		}
	}
	if diff := cmp.Diff([]string{"kluster", "e2e", "run", "--workers", "3", "--create", "--runtime", "cri-o", "--oci-runtime", "crun"}, last.Command); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"kluster", "e2e", "run", "--resume", "--report-dir", "/r/cri-o-crun"}, last.Resumed); diff != "" {
		t.Error(diff)
	}
}

// TestARunOfAMatrixIsTakenUpByItself: with the flags of its record, "e2e run" finds
// the same cluster.
func TestARunOfAMatrixIsTakenUpByItself(t *testing.T) {
	c := combined(t, "--runtimes", "cri-o", "--workers", "3", "--focus", "Pods")[0]
	dir := recordedRun(t, e2e.Record{Suite: "smoke", Flags: c.Flags})
	a := quietApp()
	var got *e2eRunOptions
	cmd := newE2ERunCmd(a, func(_ context.Context, _ *app, o *e2eRunOptions) error { got = o; return nil })
	cmd.SetArgs([]string{"--resume", "--report-dir", dir})
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	if !got.create || got.flags.Name != "e2e-cri-o" || got.flags.Runtime != "cri-o" || *got.flags.Workers != 3 {
		t.Errorf("%+v", got.flags)
	}
	if diff := cmp.Diff([]string{"builtin"}, got.expectations); diff != "" {
		t.Error(diff)
	}
}

func TestARefusedCombinationIsShown(t *testing.T) {
	all := combined(t, "--runtimes", "containerd,cri-dockerd")
	if all[0].Refused != nil || all[1].Refused == nil || all[1].Cluster != nil {
		t.Fatalf("%+v", all)
	}
	p := plannedOf(all[1])
	if p.Refused == "" || len(p.Limits) == 0 {
		t.Errorf("%+v", p)
	}
}

func TestMatrixVerdict(t *testing.T) {
	of := func(states ...report.State) *report.Report {
		r := &report.Report{}
		for _, s := range states {
			r.Specs = append(r.Specs, report.Spec{Name: "x", State: s})
		}
		return r
	}
	for name, test := range map[string]struct {
		reports []*report.Report
		flaky   bool
		want    int
	}{
		"all pass":             {[]*report.Report{of(report.Passed), of(report.Passed, report.ExpectedFailure)}, false, failure.CodeOK},
		"one fails":            {[]*report.Report{of(report.Passed), of(report.Failed), nil}, false, failure.CodeTests},
		"an unexpected pass":   {[]*report.Report{of(report.Passed), of(report.UnexpectedPass)}, false, failure.CodeTests},
		"one did not run":      {[]*report.Report{of(report.Passed), nil, of(report.Flaky)}, false, failure.CodeFailed},
		"a spec did not run":   {[]*report.Report{of(report.Passed), of(report.Passed, report.Missing)}, false, failure.CodeFailed},
		"one is flaky":         {[]*report.Report{of(report.Flaky), of(report.Passed)}, false, failure.CodeTests},
		"flaky is allowed":     {[]*report.Report{of(report.Flaky), of(report.Passed)}, true, failure.CodeOK},
		"allowed, but one not": {[]*report.Report{of(report.Flaky), nil}, true, failure.CodeFailed},
	} {
		m := &e2e.Matrix{}
		for _, r := range test.reports {
			o := e2e.Outcome{Combination: e2e.Combination{Name: "c"}, Report: r}
			if r == nil {
				o.Err = errors.New("no")
			}
			m.Outcomes = append(m.Outcomes, o)
		}
		if code := failure.Code(matrixVerdict(m, test.flaky)); code != test.want {
			t.Errorf("%s: %d, want %d", name, code, test.want)
		}
	}
}

func TestExpectationsHoldInAnyFolder(t *testing.T) {
	var got *e2eRunOptions
	cmd := newE2ERunCmd(quietApp(), func(_ context.Context, _ *app, o *e2eRunOptions) error { got = o; return nil })
	cmd.SetArgs([]string{"--expectations", "known.yaml", "--expectations", "builtin"})
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{absolute("known.yaml"), "builtin"}, got.given["expectations"]); diff != "" || !filepath.IsAbs(got.given["expectations"][0]) {
		t.Error(diff)
	}
}

func TestMatrixInTheStepSummary(t *testing.T) {
	r := &report.Report{Suite: "smoke", Specs: []report.Spec{{Name: "x", State: report.Failed, Attempts: []report.Attempt{{State: "failed", Message: "too late"}}}}}
	compared, err := report.CompareRuns([]report.NotRun{{Name: "cri-o", Reason: "no room"}}, report.Named{Name: "containerd", Report: r})
	if err != nil {
		t.Fatal(err)
	}
	m := &e2e.Matrix{Comparison: compared, Outcomes: []e2e.Outcome{
		{Combination: e2e.Combination{Name: "containerd"}, Report: r}, {Combination: e2e.Combination{Name: "cri-o"}, Err: errors.New("no room")},
	}}
	var b strings.Builder
	if err := writeMatrixMarkdown(&b, m, "smoke"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"## e2e matrix smoke", "not run: cri-o: no room", "\n## containerd\n", "too late"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}
