package timings

import (
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/configs"
	"github.com/kluster-project/kluster/e2e/report"
)

// run is a report of specs with one attempt each.
func run(seconds map[string]float64, state string) *report.Report {
	r := &report.Report{}
	for name, s := range seconds {
		r.Specs = append(r.Specs, report.Spec{Name: name, Attempts: []report.Attempt{{State: state, Seconds: s}}})
	}
	return r
}

func TestUpdate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "timings")
	for _, s := range []float64{3, 1, 2.00499} {
		if err := Update(dir, "v1.36.3", run(map[string]float64{"a": s}, "passed")); err != nil {
			t.Fatal(err)
		}
	}
	if err := Update(dir, "v1.36.3", run(map[string]float64{"a": 100, "b": 1}, "failed")); err != nil {
		t.Fatal(err)
	}
	table, err := For(dir, "v1.36.3")
	if err != nil {
		t.Fatal(err)
	}
	if got := table.Seconds()["a"]; got != 2 {
		t.Errorf("a takes %g s, want 2", got)
	}
	if _, ok := table["b"]; ok {
		t.Error("a failure was measured")
	}
	if other, err := For(dir, "v1.35.4"); err != nil || len(other["a"]) > 0 {
		t.Errorf("another version has %v, %v", other["a"], err)
	}
}

func TestUpdateOfNothing(t *testing.T) {
	dir := t.TempDir()
	if err := Update(dir, "v1.36.3", &report.Report{}); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
}

func TestKeep(t *testing.T) {
	table := Table{}
	for i := range 20 {
		table.Add(run(map[string]float64{"a": float64(i)}, "passed"))
	}
	if diff := cmp.Diff([]float64{11, 12, 13, 14, 15, 16, 17, 18, 19}, table["a"]); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
}

func TestBroken(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "v1.36.3.json")
	if err := os.WriteFile(file, []byte(`{"a": `), 0o644); err != nil {
		t.Fatal(err)
	}
	if table, err := For(dir, "v1.36.3"); err == nil || table == nil {
		t.Errorf("got %v, %v; want what is built in, and an error", table, err)
	}
	if err := Update(dir, "v1.36.3", run(map[string]float64{"a": 1}, "passed")); err != nil {
		t.Fatal(err)
	}
	if table, err := For(dir, "v1.36.3"); err != nil || table.Seconds()["a"] != 1 {
		t.Errorf("got %v, %v", table, err)
	}
}

func TestBuiltin(t *testing.T) {
	files := fstest.MapFS{}
	for _, v := range []string{"v1.9.0", "v1.35.4", "v1.36.3"} {
		files[v+".json"] = &fstest.MapFile{Data: []byte(`{"` + v + `": [1]}`)}
	}
	for version, want := range map[string]string{
		"v1.36.3": "v1.36.3", "v1.36.9": "v1.36.3", "v1.37.0": "v1.36.3", "v1.36.0": "v1.35.4", "v1.10.0": "v1.9.0", "v1.1.0": "v1.9.0",
		"": "v1.9.0",
	} {
		table, err := builtin(files, version)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := table[want]; !ok {
			t.Errorf("%s: got %v, want %s", version, table, want)
		}
	}
	if table, err := builtin(fstest.MapFS{}, "v1.36.3"); err != nil || table == nil {
		t.Errorf("without a file: %v, %v", table, err)
	}
	if _, err := builtin(configs.Timings(), "v1.36.3"); err != nil {
		t.Error(err)
	}
}

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		times []float64
		want  float64
	}{{[]float64{4}, 4}, {[]float64{4, 1}, 2.5}, {[]float64{9, 1, 2}, 2}} {
		if got := median(test.times); got != test.want {
			t.Errorf("median of %v is %g, want %g", test.times, got, test.want)
		}
	}
}

func TestLeft(t *testing.T) {
	for name, test := range map[string]struct {
		work Work
		want time.Duration
	}{
		"nothing":                    {Work{Procs: 4}, 0},
		"one after another":          {Work{Parallel: []float64{1, 2, 3}, Procs: 1}, 6 * time.Second},
		"side by side":               {Work{Parallel: []float64{1, 2, 3}, Procs: 2}, 3 * time.Second},
		"the longest bounds it":      {Work{Parallel: []float64{1, 1, 50, 1}, Procs: 8}, 50 * time.Second},
		"serial after all":           {Work{Parallel: []float64{4, 4}, Serial: []float64{1, 2.5}, Procs: 2}, 7500 * time.Millisecond},
		"what runs keeps a process":  {Work{Running: []float64{10, 1}, Parallel: []float64{2, 2}, Procs: 2}, 10 * time.Second},
		"no process":                 {Work{Parallel: []float64{1}}, time.Second},
		"more run than there are of": {Work{Running: []float64{1, 2, 3}, Procs: 1}, 3 * time.Second},
	} {
		if got := test.work.Left(); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`{"a": [1, 2.5]}`)
	f.Add(`null`)
	f.Add(`{"a": [-1]}`)
	f.Fuzz(func(t *testing.T, text string) {
		table, err := parse("x", []byte(text))
		if err != nil {
			return
		}
		table.Add(run(map[string]float64{"a": 1}, "passed"))
		table.Seconds()
	})
}
