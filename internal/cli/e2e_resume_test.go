package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/e2e"
	"github.com/kluster-project/kluster/internal/failure"
)

// recordedRun is a folder with the record of a run.
func recordedRun(t *testing.T, x e2e.Record) string {
	t.Helper()
	x.APIVersion, x.Kind = "kluster.dev/v1alpha1", "E2ERun"
	data, err := json.Marshal(x)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, e2e.RecordFile), data, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestResumeTakesFlagsFromTheRecord: those that are not given.
func TestResumeTakesFlagsFromTheRecord(t *testing.T) {
	created := e2e.Record{Suite: "conformance", Flags: map[string][]string{
		"suite": {"conformance"}, "create": {"true"}, "clusters": {"2"}, "workers": {"3"}, "kubernetes-version": {"v1.35.4"},
		"focus": {"Pods", "a,b"}, "rerun-failed": {"2"}, "timeout": {"1h0m0s"}, "procs": {"3"},
	}}
	existing := e2e.Record{Suite: "/src/specs", Flags: map[string][]string{"cluster": {"c"}}}
	for name, test := range map[string]struct {
		record e2e.Record
		args   []string
		want   []string // the command that takes it up again
	}{
		"all of them": {created, nil, []string{
			"--clusters", "2", "--create", "--focus", "Pods", "--focus", "a,b", "--kubernetes-version", "v1.35.4",
			"--procs", "3", "--rerun-failed", "2", "--suite", "conformance", "--timeout", "1h0m0s", "--workers", "3",
		}},
		"some are given": {created, []string{"--procs", "5", "--focus", "other"}, []string{
			"--clusters", "2", "--create", "--focus", "other", "--kubernetes-version", "v1.35.4",
			"--procs", "5", "--rerun-failed", "2", "--suite", "conformance", "--timeout", "1h0m0s", "--workers", "3",
		}},
		"another target": {created, []string{"--cluster", "x"}, []string{
			"--cluster", "x", "--focus", "Pods", "--focus", "a,b",
			"--procs", "3", "--rerun-failed", "2", "--suite", "conformance", "--timeout", "1h0m0s",
		}},
		"a folder":            {existing, nil, []string{"/src/specs", "--cluster", "c"}},
		"a suite is given":    {existing, []string{"--suite", "smoke"}, []string{"--cluster", "c", "--suite", "smoke"}},
		"a folder is given":   {created, []string{"/other"}, nil},
		"a cluster to create": {existing, []string{"--create"}, []string{"/src/specs", "--create"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got *e2eRunOptions
			cmd := newE2ERunCmd(quietApp(), func(_ context.Context, _ *app, o *e2eRunOptions) error { got = o; return nil })
			cmd.SetArgs(append(test.args, "--resume", "--report-dir", recordedRun(t, test.record)))
			if err := cmd.Execute(); err != nil {
				t.Fatal(err)
			}
			if test.want == nil {
				if got.Suite != "/other" {
					t.Errorf("suite %q", got.Suite)
				}
				return
			}
			if diff := cmp.Diff(append([]string{"kluster", "e2e", "run"}, test.want...), got.Resumed); diff != "" {
				t.Errorf("taken up with (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatCannotBeTakenUp(t *testing.T) {
	odd := t.TempDir()
	if err := os.WriteFile(filepath.Join(odd, e2e.RecordFile), []byte(`{"apiVersion":"kluster.dev/v9","kind":"E2ERun"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ dir, want string }{
		"no run":       {t.TempDir(), "holds no run to take up"},
		"a newer one":  {odd, "a E2ERun of kluster.dev/v9"},
		"standard in":  {recordedRun(t, e2e.Record{Suite: "smoke", Flags: map[string][]string{"create": {"true"}, "config": {"-"}}}), "give it again, with --config -"},
		"an odd value": {recordedRun(t, e2e.Record{Suite: "smoke", Flags: map[string][]string{"procs": {"many"}}}), "--procs of the run in"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := newE2ERunCmd(quietApp(), func(context.Context, *app, *e2eRunOptions) error { return nil })
			cmd.SilenceErrors, cmd.SilenceUsage = true, true
			cmd.SetArgs([]string{"--resume", "--report-dir", test.dir})
			if err := cmd.Execute(); failure.Code(err) != failure.CodeUsage || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %s", err, test.want)
			}
		})
	}
}

// TestWhatIsRecorded: the flags that were given as they hold in any folder, and what
// was found for others.
func TestWhatIsRecorded(t *testing.T) {
	var got *e2eRunOptions
	cmd := newE2ERunCmd(quietApp(), func(_ context.Context, _ *app, o *e2eRunOptions) error { got = o; return nil })
	cmd.SetArgs([]string{"--focus", "a", "--focus", "b", "--kubeconfig", "conf", "-o", "json", "--report-dir", "r"})
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	got.Kubeconfig, got.Cluster = "", "only"
	want := map[string][]string{"focus": {"a", "b"}, "kubeconfig": {absolute("conf")}, "cluster": {"only"}}
	if diff := cmp.Diff(want, got.recordedFlags()); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}
}

// TestInterruptionIsToldByTheDisplay: past it, it would be drawn over.
func TestInterruptionIsToldByTheDisplay(t *testing.T) {
	var plain bytes.Buffer
	l := &lastCall{}
	ctx := context.WithValue(t.Context(), lastCallKey{}, l)
	var told []string
	say := func(who string) func(string) { return func(text string) { told = append(told, who+": "+text) } }
	outer := sayThrough(ctx, say("steps"))
	inner := sayThrough(ctx, say("specs"))
	l.tell(&plain, "one")
	inner()
	l.tell(&plain, "two")
	outer()
	l.tell(&plain, "three")
	if diff := cmp.Diff([]string{"specs: one", "steps: two"}, told); diff != "" || plain.String() != "\nthree\n" {
		t.Errorf("told %q, and %q", told, plain.String())
	}
}
