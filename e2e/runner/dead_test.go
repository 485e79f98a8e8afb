package runner_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/e2e/runner"
	"github.com/kluster-project/kluster/internal/wait"
)

// helperEnv makes this test program a runner of a tiny suite: its value is what to
// run, in the folder that the suite itself is told.
const helperEnv = "RUNNER_TEST_HELPER"

// helped is what such a runner runs.
type helped struct {
	Path, Ginkgo, Labels string
	Procs                int
	Grace                time.Duration
}

// What it runs beside the specs, on and with.
var (
	incident = report.Incident{Time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Text: "a node was away"}
	facts    = report.Cluster{Name: "one", Kubernetes: "v1.36.3"}
	part     = report.Part{Name: "e2e.test", Digest: "sha256:1"}
)

func helper() {
	var h helped
	err := json.Unmarshal([]byte(os.Getenv(helperEnv)), &h)
	if err == nil {
		_, err = runner.Run(context.Background(), runner.Options{
			Program: runner.Program{Path: h.Path, Ginkgo: h.Ginkgo}, Dir: filepath.Join(os.Getenv("SUITE_DIR"), "report"),
			Filter: report.Filter{Labels: h.Labels}, Procs: h.Procs, Grace: h.Grace,
			Clusters: []report.Cluster{facts}, Parts: []report.Part{part},
			Beside: func(_ context.Context, tell func(report.Incident)) { tell(incident) },
		})
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// killRunner runs specs of a program in a runner of its own, and kills that when one
// hangs and the journal tells so much.
func killRunner(t *testing.T, p runner.Program, h helped, told string) {
	t.Helper()
	h.Path, h.Ginkgo = p.Path, p.Ginkgo
	what, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	// What a killed runner leaves goes with the programs of the tests.
	cmd.Env = append(os.Environ(), helperEnv+"="+string(what), p.Env[0], "TMPDIR="+built)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	journal := filepath.Join(dirOf(p), "report", runner.JournalFile)
	whenHanging(t, p, func() {
		for wait.For(t.Context(), 10*time.Millisecond) {
			data, err := os.ReadFile(journal)
			if err == nil && strings.Contains(string(data), `"incident"`) && strings.Contains(string(data), told) {
				break
			}
		}
		_ = cmd.Process.Kill()
	})
	if err := cmd.Wait(); err == nil {
		t.Error("the runner was not killed")
	}
}

// processes are those that run the tiny suite in the folder of a program, with their
// names.
func processes(t *testing.T, p runner.Program) []string {
	t.Helper()
	found, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range found {
		env, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(env, []byte(p.Env[0]+"\x00")) {
			continue // gone, or another's
		}
		name, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "comm"))
		names = append(names, strings.TrimSpace(string(name)))
	}
	return names
}

func awaitNone(t *testing.T, p runner.Program) {
	t.Helper()
	for len(processes(t, p)) > 0 {
		if !wait.For(t.Context(), 10*time.Millisecond) {
			t.Fatalf("there are still %q", processes(t, p))
		}
	}
}

// TestDeadRunner sees that a suite cleans up and ends when the runner was killed, and
// that what it did is not lost.
func TestDeadRunner(t *testing.T) {
	for name, test := range map[string]struct {
		suite func() (string, error)
		procs int
		told  string // the last of the journal before the kill
		want  string
	}{
		"streaming":          {streaming, 1, `"start"`, "passed: none passed"},
		"streaming, several": {streaming, 2, `"start"`, "passed: none passed"},
		"stock":              {stock, 1, `"begin"`, "passed: passed"},
		"stock, several":     {stock, 2, `"begin"`, "passed: passed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := program(t, test.suite)
			killRunner(t, p, helped{Labels: "hang || odd", Procs: test.procs, Grace: time.Minute}, test.told)
			awaitNone(t, p)
			if _, err := os.Stat(filepath.Join(dirOf(p), "cleaned")); err != nil {
				t.Errorf("the suite did not clean up: %v", err)
			}
			o := options(t, p, "")
			o.Dir, o.Resume, o.Procs = filepath.Join(dirOf(p), "report"), true, test.procs
			lost, err := runner.Recorded(o.Dir)
			if err != nil {
				t.Fatal(err)
			}
			if lost.Interrupted != "the runner was killed" {
				t.Errorf("interrupted: %q", lost.Interrupted)
			}
			if err := os.WriteFile(filepath.Join(dirOf(p), "never"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
			r, err := runner.Run(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if got := outcome(r)["hangs"]; got != test.want {
				t.Errorf("the spec that hung: %s", got)
			}
			for _, r := range []*report.Report{lost, r} {
				diff := cmp.Diff([]any{[]report.Incident{incident}, []report.Cluster{facts}, []report.Part{part}}, []any{r.Incidents, r.Clusters, r.Parts})
				if diff != "" {
					t.Errorf("incidents, clusters and parts (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// TestDeafWithoutRunner sees that a suite that does not end by itself is ended.
func TestDeafWithoutRunner(t *testing.T) {
	for _, suite := range []func() (string, error){streaming, stock} {
		p := program(t, suite)
		killRunner(t, p, helped{Labels: "deaf", Procs: 1, Grace: time.Second}, `"begin"`)
		awaitNone(t, p)
	}
}

// TestGuardEnds sees that nothing is left of a run that ended as it should.
func TestGuardEnds(t *testing.T) {
	p := program(t, stock)
	t.Setenv("SUITE_DIR", dirOf(p)) // for this process's children, so that they are found
	if _, err := runner.Run(t.Context(), options(t, p, "odd")); err != nil {
		t.Fatal(err)
	}
	if left := processes(t, p); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// TestTogether sees that what a program has started ends with it.
func TestTogether(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	dir := t.TempDir()
	cmd := runner.Together(exec.CommandContext(ctx, "/bin/sh", "-c", `sleep 60 & echo $! >pid.tmp; mv pid.tmp pid; wait`))
	cmd.Dir = dir
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var child int
	for child == 0 && wait.For(t.Context(), 10*time.Millisecond) {
		if data, err := os.ReadFile(filepath.Join(dir, "pid")); err == nil {
			if _, err := fmt.Sscan(string(data), &child); err != nil {
				t.Fatal(err)
			}
		}
	}
	cancel()
	if err := cmd.Wait(); err == nil {
		t.Error("it was not ended")
	}
	for !errors.Is(syscall.Kill(child, 0), syscall.ESRCH) && !zombie(child) {
		if !wait.For(t.Context(), 10*time.Millisecond) {
			t.Fatal("its child lives")
		}
	}
}

// zombie says whether a process is dead and nobody has asked how it ended.
func zombie(pid int) bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(data), ") Z ")
}

// TestResumeBeginsWhatHadNotBegun: a part of a run may have no journal yet.
func TestResumeBeginsWhatHadNotBegun(t *testing.T) {
	o := options(t, program(t, streaming), "timed")
	plan, err := runner.MakePlan(t.Context(), o.Program, o.Filter)
	if err != nil {
		t.Fatal(err)
	}
	plan.Specs = plan.Specs[:2]
	o.Plan, o.Exact, o.Resume = &plan, true, true
	r, err := runner.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if s := r.Summarize(); s.Passed != 2 || r.Resumed != 0 {
		t.Errorf("summary %+v, resumed %d times", s, r.Resumed)
	}
}

// TestWatchedWhileItCleansUp: what is beside the specs goes on until they have ended.
func TestWatchedWhileItCleansUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	o := options(t, program(t, streaming), "hang")
	o.Procs = 1
	o.Beside = func(ctx context.Context, tell func(report.Incident)) {
		<-ctx.Done()
		tell(report.Incident{Time: time.Now(), Text: "to the end"})
		if _, err := os.Stat(filepath.Join(dirOf(o.Program), "cleaned")); err != nil {
			t.Error("it was ended before the specs")
		}
	}
	whenHanging(t, o.Program, cancel)
	r, err := runner.Run(ctx, o)
	if err == nil || len(r.Incidents) != 1 {
		t.Errorf("error %v, report %+v", err, r)
	}
}
