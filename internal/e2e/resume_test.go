package e2e

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/e2e/plan"
	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/e2e/runner"
	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/status"
	"github.com/kluster-project/kluster/internal/wait"
)

// cutOff is a package one of whose four specs waits when it runs for the first time.
const cutOff = "./testdata/resumes"

// helperEnv makes this test program run the package in a folder, on two clusters
// whose API is at an address: its value is both, as JSON.
const helperEnv = "E2E_TEST_HELPER"

type helped struct{ API, Cache, Dir string }

func TestMain(m *testing.M) {
	if text := os.Getenv(helperEnv); text != "" {
		var h helped
		err := json.Unmarshal([]byte(text), &h)
		if err == nil {
			r := &Runner{Clusters: &fakeClusters{api: h.API}, Reporter: status.Discard, CacheDir: h.Cache}
			_, err = r.Run(context.Background(), Options{Suite: cutOff, Dir: h.Dir, Target: toCreate("a", "b")})
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// TestAKilledRunIsTakenUp: one of its parts waits when the runner is killed, and the
// other, as far as anybody can tell, had not begun.
func TestAKilledRunIsTakenUp(t *testing.T) {
	r, clusters := newRunner(t)
	waiting, dir := filepath.Join(t.TempDir(), "waiting"), filepath.Join(t.TempDir(), "report")
	clean := filepath.Join(t.TempDir(), "clean")
	t.Setenv("WAITING", waiting)
	t.Setenv("CLEAN_WHEN", clean)
	text, err := json.Marshal(helped{clusters.api, r.CacheDir, dir})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), helperEnv+"="+string(text), "TMPDIR="+t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if !await(t.Context(), waiting) {
		t.Fatal("no spec waits")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	again := Options{Suite: cutOff, Dir: dir, Target: toCreate("a", "b"), Resume: true}
	if _, err := r.Run(t.Context(), again); failure.Code(err) != failure.CodeUsage || !strings.Contains(err.Error(), "is still under way") {
		t.Errorf("taken up while a spec cleans up: %v", err)
	}
	if err := os.WriteFile(clean, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	awaitUnlocked(t, dir)
	was, err := LoadRecord(dir)
	if err != nil || len(was.Parts) != 2 || exists(filepath.Join(dir, report.FileName)) {
		t.Fatalf("record %+v, err %v", was, err)
	}
	for _, p := range was.Parts {
		if !slices.Contains(p.Plan.Names(), "cut off waits at first") {
			if err := os.RemoveAll(filepath.Join(dir, p.Dir)); err != nil {
				t.Fatal(err)
			}
		}
	}
	got, err := r.Run(t.Context(), again)
	if err != nil {
		t.Fatal(err)
	}
	if s := got.Summarize(); s.Passed != 4 || s.Verdict != report.VerdictOK || got.Seed != was.Seed || got.Resumed != 1 || len(got.Clusters) != 2 {
		t.Errorf("summary %+v, seed %d, resumed %d times, clusters %v", s, got.Seed, got.Resumed, got.Clusters)
	}
	for _, s := range got.Specs {
		i := slices.IndexFunc(was.Parts, func(p recordedPart) bool { return slices.Contains(p.Plan.Names(), s.Name) })
		if on := s.Attempts[len(s.Attempts)-1].Cluster; on != was.Parts[i].Cluster {
			t.Errorf("%s was dealt to %s and ran on %s", s.Name, was.Parts[i].Cluster, on)
		}
	}
	if !slices.Equal(clusters.created, []string{"a", "b"}) {
		t.Errorf("created %v", clusters.created)
	}
}

// awaitUnlocked waits until nobody holds the lock of a folder.
func awaitUnlocked(t *testing.T, dir string) {
	t.Helper()
	file, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		if !wait.For(t.Context(), 10*time.Millisecond) {
			t.Fatalf("%s is locked", dir)
		}
	}
}

// ended is a run of the package that has come to its end.
func ended(t *testing.T) (*Runner, *fakeClusters, Options) {
	t.Helper()
	t.Setenv("WAITING", t.TempDir()) // nothing waits
	r, clusters := newRunner(t)
	opt := Options{Suite: cutOff, Dir: filepath.Join(t.TempDir(), "report"), Target: toCreate("a", "b"), Seed: 7}
	if _, err := r.Run(t.Context(), opt); err != nil {
		t.Fatal(err)
	}
	clusters.created, clusters.deleted, opt.Resume, opt.Seed = nil, nil, true, 0
	return r, clusters, opt
}

// TestOfARunThatEndedOnlyTheReportIsMade: its runner may have been killed before.
func TestOfARunThatEndedOnlyTheReportIsMade(t *testing.T) {
	r, clusters, opt := ended(t)
	if err := os.Remove(filepath.Join(opt.Dir, report.FileName)); err != nil {
		t.Fatal(err)
	}
	got, err := r.Run(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	if s := got.Summarize(); s.Passed != 4 || s.Verdict != report.VerdictOK || len(got.Clusters) != 2 || got.Resumed != 0 {
		t.Errorf("summary %+v, clusters %v", s, got.Clusters)
	}
	if len(clusters.created) > 0 || !exists(filepath.Join(opt.Dir, report.FileName)) {
		t.Errorf("created %v", clusters.created)
	}
}

func TestARunIsTakenUpAsWhatItWas(t *testing.T) {
	r, clusters, opt := ended(t)
	for name, test := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"another suite":   {func(o *Options) { o.Suite = specs }, "resumes, not /"},
		"a focus":         {func(o *Options) { o.Filter.Focus = []string{"a", "b"} }, `begun with --focus none, not "a", "b"`},
		"a skip":          {func(o *Options) { o.Filter.Skip = []string{"a"} }, `begun with --skip none, not "a"`},
		"labels":          {func(o *Options) { o.Filter.Labels = "x" }, `begun with --label-filter none, not "x"`},
		"another seed":    {func(o *Options) { o.Seed = 8 }, "begun with --seed 7, not 8"},
		"fewer clusters":  {func(o *Options) { o.Target = toCreate("a") }, "begun with cluster a (made for the run), b (made for the run), not a (made for the run)"},
		"no cluster made": {func(o *Options) { o.Target = Target{Cluster: "a"} }, "(made for the run), not a"},
		"a kubeconfig":    {func(o *Options) { o.Target = Target{Kubeconfig: "/etc/conf"} }, "not of /etc/conf"},
		"other nodes": {func(o *Options) {
			o.Target = toCreate("a", "b")
			for _, cfg := range o.Create {
				cfg.Nodes = cfg.Nodes[:1]
			}
		}, "begun with nodes 0 control planes and 2 workers, not 0 control planes and 1 worker"},
		"another version": {func(o *Options) {
			o.Target = toCreate("a", "b")
			o.Create[0].KubernetesVersion = "v1.35.4"
		}, "begun with Kubernetes v1.36.3, not v1.35.4"},
		"another runtime": {func(o *Options) {
			o.Target = toCreate("a", "b")
			o.Create[0].Runtime = "cri-o"
		}, "begun with configuration sha256:"},
		"a folder without a run": {func(o *Options) { o.Dir = t.TempDir() }, "holds no run to take up"},
		"no folder":              {func(o *Options) { o.Dir = filepath.Join(t.TempDir(), "none") }, "holds no run to take up"},
	} {
		t.Run(name, func(t *testing.T) {
			other := opt
			test.change(&other)
			_, err := r.Run(t.Context(), other)
			if failure.Code(err) != failure.CodeUsage || !strings.Contains(err.Error(), test.want) || len(failure.Hints(err)) == 0 {
				t.Errorf("err %v, want %s", err, test.want)
			}
			if len(clusters.created) > 0 {
				t.Errorf("created %v", clusters.created)
			}
		})
	}
	if exists(filepath.Join(opt.Dir, "none")) {
		t.Error("a folder was made")
	}
}

func TestAFolderIsForOneRun(t *testing.T) {
	r, _, opt := ended(t)
	again := opt
	again.Resume = false
	if err := os.Remove(filepath.Join(opt.Dir, report.FileName)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Run(t.Context(), again); failure.Code(err) != failure.CodeUsage || !strings.Contains(err.Error(), "holds another run") {
		t.Errorf("begun: %v", err)
	}
	held, err := os.Open(opt.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := syscall.Flock(int(held.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Run(t.Context(), opt); failure.Code(err) != failure.CodeUsage || !strings.Contains(err.Error(), "is still under way") {
		t.Errorf("taken up: %v", err)
	}
}

// TestAnInterruptedRunSaysHowToTakeItUp, and its clusters are made anew.
func TestAnInterruptedRunSaysHowToTakeItUp(t *testing.T) {
	r, clusters := newRunner(t)
	server := httptest.NewTLSServer(http.HandlerFunc(api))
	defer server.Close()
	clusters.api, clusters.ca = server.URL, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	waiting := filepath.Join(t.TempDir(), "waiting")
	t.Setenv("WAITING", waiting)
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		if await(t.Context(), waiting) {
			cancel(failure.ErrInterrupted)
		}
	}()
	opt := Options{
		Suite: cutOff, Dir: filepath.Join(t.TempDir(), "report"), Target: toCreate("a"),
		Resumed: []string{"kluster", "e2e", "run", "--focus", "a b"},
	}
	_, err := r.Run(ctx, opt)
	if !errors.Is(err, failure.ErrInterrupted) || !slices.Equal(failure.Hints(err), []string{"run what is left: kluster e2e run --focus 'a b'"}) {
		t.Fatalf("err %v, hints %q", err, failure.Hints(err))
	}
	for name, test := range map[string]struct {
		ca      []byte
		deleted []string
	}{
		"another's of that name": {[]byte("another"), []string{"a"}},
		"left of it":             {clusters.ca, []string{"a", "a"}},
	} {
		opt.Resume, opt.RerunFailed, clusters.deleted = true, 0, nil
		x, err := LoadRecord(opt.Dir)
		if err != nil {
			t.Fatal(err)
		}
		x.Clusters[0].CA = digest(test.ca)
		if err := x.write(opt.Dir); err != nil {
			t.Fatal(err)
		}
		again := opt
		again.Target = toCreate("a")
		refusing := *clusters
		refusing.refuse = map[string]error{"a": errors.New("enough")}
		r.Clusters = &refusing
		if _, err := r.Run(t.Context(), again); !errors.Is(err, refusing.refuse["a"]) || len(failure.Hints(err)) != 1 {
			t.Errorf("%s: err %v, hints %q", name, err, failure.Hints(err))
		}
		if want := test.deleted[1:]; !slices.Equal(refusing.deleted, want) {
			t.Errorf("%s: deleted %v, want %v", name, refusing.deleted, want)
		}
	}
}

// TestWhatCannotWorkIsRefusedFirst: before anything is built.
func TestWhatCannotWorkIsRefusedFirst(t *testing.T) {
	tainted := func(effects ...string) Target {
		target := toCreate("c")
		for i, effect := range effects {
			target.Create[0].Nodes[i].Taints = []config.Taint{{Key: "x", Effect: effect}}
		}
		return target
	}
	for name, test := range map[string]struct {
		opt  Options
		want string
	}{
		"one open node": {Options{Suite: "conformance", Target: tainted("NoSchedule")}, "suite conformance needs 2 nodes that any pod may run on, and cluster c would have 1"},
		"none":          {Options{Suite: "smoke", Target: tainted("NoExecute", "NoSchedule")}, "needs 1 node that any pod may run on, and cluster c would have 0"},
		"a source":      {Options{Suite: specs, Source: "release", Target: toCreate("c")}, "--source: "},
	} {
		r, clusters := newRunner(t)
		test.opt.Dir = filepath.Join(t.TempDir(), "report")
		_, err := r.Run(t.Context(), test.opt)
		if failure.Code(err) != failure.CodeUsage || !strings.Contains(err.Error(), test.want) || len(failure.Hints(err)) == 0 {
			t.Errorf("%s: err %v", name, err)
		}
		if made, err := os.ReadDir(r.CacheDir); err != nil || len(made) > 0 || len(clusters.created) > 0 || exists(test.opt.Dir) {
			t.Errorf("%s: made %v, %v, %v", name, made, err, clusters.created)
		}
	}
	if n := open(tainted("PreferNoSchedule").Create[0]); n != 2 {
		t.Errorf("%d nodes are open", n)
	}
}

// TestGoEndsWithItsChildren: compilers go on for minutes.
func TestGoEndsWithItsChildren(t *testing.T) {
	bin, dir := t.TempDir(), t.TempDir()
	script := "#!/bin/sh\nsleep 60 & echo $! >pid.tmp; mv pid.tmp pid; wait\n"
	if err := os.WriteFile(filepath.Join(bin, "go"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	go func() {
		if await(t.Context(), filepath.Join(dir, "pid")) {
			cancel(enough)
		}
	}()
	if err := goRun(ctx, dir, "test"); !errors.Is(err, enough) {
		t.Errorf("err %v", err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	for stat := filepath.Join("/proc", strings.TrimSpace(string(data)), "stat"); ; {
		text, err := os.ReadFile(stat)
		if err != nil || strings.Contains(string(text), ") Z ") {
			return
		}
		if !wait.For(t.Context(), 10*time.Millisecond) {
			t.Fatal("its child lives")
		}
	}
}

// TestTheDryRunWritesNoReport: its junit_01.xml would be that of a certification.
func TestTheDryRunWritesNoReport(t *testing.T) {
	r := &run{Runner: &Runner{}, suite: plan.Suite{Program: plan.Stock}, opt: Options{Dir: "/report", Certification: &Certification{}}}
	p := program{Program: runner.Program{Args: r.kubernetesArgs("/parts")}}
	if slices.Contains(p.Args, "--report-dir=/report") {
		t.Errorf("planned with %q", p.Args)
	}
	if args := r.optionsOf(p).Args; !slices.Contains(args, "--report-dir=/report") {
		t.Errorf("run with %q", args)
	}
}

func TestTheRecordIsReadAsItWasWritten(t *testing.T) {
	dir := t.TempDir()
	x := &Record{
		Begun: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Flags: map[string][]string{"focus": {"a", "b"}}, Suite: "smoke",
		Filter: report.Filter{Focus: []string{"a", "b"}}, Kubernetes: "v1.36.3", Seed: 7,
		Clusters: []recordedCluster{{Name: "c", Nodes: "n", Configuration: "d", CA: "e"}},
		Parts: []recordedPart{
			{Program: "p", Cluster: "c", Dir: "p/c", Plan: runner.Plan{Description: "d", Specs: []runner.Spec{{Name: "a"}}}, Exact: true},
			{Program: "p", Plan: runner.Plan{Description: "d", Specs: []runner.Spec{{Name: "b"}}}},
			{Program: "q", Plan: runner.Plan{Description: "e", Specs: []runner.Spec{{Name: "c"}}}},
		},
	}
	if err := x.write(dir); err != nil {
		t.Fatal(err)
	}
	got, err := LoadRecord(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(x, got); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
	if p := got.plan("p"); p.Description != "d" || !slices.Equal(p.Names(), []string{"a", "b"}) {
		t.Errorf("plan %+v", p)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("in the folder: %v, %v", files, err)
	}
}
