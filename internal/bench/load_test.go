package bench

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// newFakeLoadRun is a run with one runtime, whose commands are instant but for what
// seconds says of them by a word of theirs.
func newFakeLoadRun(t *testing.T, e *fakeEngine, seconds map[string]float64) (*loadRun, *[]string) {
	t.Helper()
	base, _ := newFakeRun(e, fakeTool(klusterName))
	base.temp = t.TempDir()
	base.report.Settings.Load = &LoadSettings{Runtimes: []string{"containerd"}, Images: map[string]string{"containerd": "node:1"}}
	tool, err := fakeTool(klusterName).withPair(Pair{Runtime: "containerd", OCI: "runc"}, "", "busybox:1")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex // nodes are given a whole image at once
	var calls []string
	good := base.exec
	base.exec = func(ctx context.Context, c Command) (Outcome, error) {
		if c.Args[0] == "create" || c.Args[0] == "delete" {
			return good(ctx, c)
		}
		words := c.Program + " " + strings.Join(c.Args, " ")
		if c.Input != "" {
			words += " < file"
		}
		mu.Lock()
		calls = append(calls, strings.ReplaceAll(words, base.temp+"/", ""))
		mu.Unlock()
		out := Outcome{}
		for word, s := range seconds {
			if slices.Contains(c.Args, word) {
				out.Took = time.Duration(s * float64(time.Second))
				time.Sleep(out.Took)
			}
		}
		if c.Program == "docker" && c.Args[0] == "save" {
			return out, os.WriteFile(c.Args[2], nil, 0o600)
		}
		return out, ctx.Err()
	}
	e.sent = map[string]int64{"a": 10, "b": 6_000_000}
	return &loadRun{run: base, tools: []RuntimeTool{tool}, layerMB: 1, meter: e.Meter}, &calls
}

// TestLoadRound sees what each way does, that the second image differs in its last
// layer alone, and that nothing is left.
func TestLoadRound(t *testing.T) {
	e := newFakeEngine()
	r, calls := newFakeLoadRun(t, e, nil)
	r.opt.Rounds = 1
	if err := r.rounds(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.report.Failed(); err != nil {
		t.Fatal(err, r.report.failures())
	}
	var loads []string
	for _, c := range *calls {
		if strings.Contains(c, " load ") || strings.HasPrefix(c, "docker") {
			loads = append(loads, c)
		}
	}
	slices.Sort(loads[1:4])
	const name, imports = "bench-load-containerd", " ctr --namespace=k8s.io images import --all-platforms --digests --snapshotter=overlayfs - < file"
	want := []string{"docker save -o saved.tar " + loadRepository + "1:1"}
	for _, n := range []string{"0", "1", "2"} {
		want = append(want, "docker exec -i "+name+"-"+n+imports)
	}
	if diff := cmp.Diff(want, loads[:4]); diff != "" {
		t.Errorf("whole (-want +got):\n%s", diff)
	}
	want = nil
	for _, image := range []string{"2:1", "2:2"} {
		want = append(want, "kluster load --cluster "+name+" "+loadRepository+image)
	}
	want = append(want, "kluster load --cluster "+name+" --archive image.tar", "kluster load --cluster "+name+" --archive image.tar")
	for _, image := range []string{"4:1", "4:2"} {
		want = append(want, "kluster load --cluster "+name+" "+loadRepository+image)
	}
	if diff := cmp.Diff(want, loads[8:]); diff != "" {
		t.Errorf("kluster's (-want +got):\n%s", diff)
	}
	if len(e.loaded) != 6 || e.loaded[0] < 5e6 || e.loaded[1] > 20e3 {
		t.Errorf("the engine got archives of %v bytes", e.loaded)
	}
	if len(e.forgotten) != 8 || len(e.clusters) > 0 {
		t.Errorf("forgotten: %v, left: %v", e.forgotten, e.clusters)
	}
	last := r.report.Loads[3]
	if last.Way != WayCounted || last.First.SentBytes != 6_000_000 || last.First.MissingBytes < 5e6 || last.Again.MissingBytes != 3072 {
		t.Errorf("counted: %+v", last)
	}
}

func TestLoadFigures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newFakeEngine()
		r, _ := newFakeLoadRun(t, e, map[string]float64{"save": 2, "ctr": 8, "load": 2, "--archive": 2})
		r.opt.Rounds = 2
		if err := r.rounds(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.report.Summarize()
		got := map[string]string{}
		for _, f := range r.report.LoadFigures {
			got[f.Name] = f.Values["containerd"].text(f.Unit) + " " + f.Met["containerd"]
		}
		want := map[string]string{
			"first load: whole image into each node":                   "10.0 (10.0-10.0) s ",
			"first load: of that, the engine's save":                   "2.00 (2.00-2.00) s ",
			"first load: kluster, from the engine":                     "2.00 (2.00-2.00) s ",
			"first load: times faster, from the engine":                "5.00 (5.00-5.00) aim",
			"first load: sent to a node beside missing layers":         "0.98 (0.98-0.98) MB aim",
			"load after a small change: times faster, from the engine": "5.00 (5.00-5.00) no",
		}
		for name, text := range want {
			if got[name] != text {
				t.Errorf("%s: got %q, want %q", name, got[name], text)
			}
		}
		for _, way := range []int{0, 4} { // another way is first in each round
			if first := r.report.Loads[way].Way; first != timedWays[way/4] {
				t.Errorf("round %d began with %s", way/4+1, first)
			}
		}
		if table := r.report.Table(); !strings.Contains(table, "| first load: times faster, from the engine ") || strings.Contains(table, "Failed") {
			t.Error(table)
		}
	})
}

// TestLoadFails sees that a way that fails is told, and the others go on.
func TestLoadFails(t *testing.T) {
	e := newFakeEngine()
	r, _ := newFakeLoadRun(t, e, nil)
	r.opt.Rounds = 1
	good := r.exec
	r.exec = func(ctx context.Context, c Command) (Outcome, error) {
		if slices.Contains(c.Args, "--archive") {
			return Outcome{}, errors.New("broken")
		}
		return good(ctx, c)
	}
	if err := r.rounds(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.report.Failed(); err == nil || len(r.report.failures()) != 1 || !strings.Contains(r.report.failures()[0], "round 1, containerd archive: broken") {
		t.Errorf("%v: %v", err, r.report.failures())
	}
	if len(r.report.Loads) != 4 || len(e.clusters) > 0 || len(e.forgotten) != 7 {
		t.Errorf("%d samples, forgotten %v, left %v", len(r.report.Loads), e.forgotten, e.clusters)
	}
}
