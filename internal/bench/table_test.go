package bench

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/golden"
)

// fullReport is a run of two rounds of every case, with plain numbers: the floor
// takes 2 and 4 seconds.
func fullReport() *Report {
	r := &Report{
		Form: reportForm, Date: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Commit: "0123abc",
		Machine: Machine{
			CPU: "Some CPU", Cores: 2, MemoryBytes: 8 << 30, OS: "Some Linux", Kernel: "6.1.0",
			Engine: "28.0.0", StorageDriver: "overlay2", CgroupVersion: "2",
		},
		Versions:   Versions{Kubernetes: "v1.36.3", Kluster: "v0.2.0", Image: "kluster/node:v1.36.3-0"},
		Settings:   Settings{Rounds: 2, Cases: Cases, IdleSeconds: 30, FloorOn: "a volume of the engine"},
		ImageBytes: 1_250_000_000,
		KindNote:   "not measured in this run",
	}
	for round := range 2 {
		r.Floor = append(r.Floor, FloorSample{Round: round + 1, Load: 0.5, ReadySeconds: float64(2 * (round + 1))})
		for i, c := range Cases {
			s := Sample{
				Round: round + 1, Tool: klusterName, Case: c.Name, Load: 1.25,
				ReadySeconds: float64(6 * (i + 1)), UsableSeconds: float64(6*(i+1) + 3*round), ReturnedSeconds: float64(10*(i+1) + round),
				CPUSeconds: 12.5, MemoryBytes: 1_200_000_000, DeleteSeconds: 0.5,
			}
			for range c.ControlPlanes {
				s.Containers = append(s.Containers, ContainerUse{Role: roleControlPlane, DiskBytes: 150_000_000})
			}
			for range c.Workers {
				s.Containers = append(s.Containers, ContainerUse{Role: roleWorker, DiskBytes: int64(2+round) * 1_000_000})
			}
			s.Containers = append(s.Containers, ContainerUse{Role: "load-balancer", DiskBytes: 2000})
			r.Samples = append(r.Samples, s)
		}
	}
	return r
}

func TestTable(t *testing.T) {
	for name, edit := range map[string]func(*Report){
		"full": func(*Report) {},
		"kind": func(r *Report) {
			r.KindNote = ""
			r.Versions.Kind, r.Versions.KindImage = "kind v0.33.0", "kindest/node:v1.36.3"
			r.KindImageBytes = 950_000_000
			r.Samples = append(r.Samples,
				Sample{Round: 1, Tool: kindName, Case: "3", ReadySeconds: 90, UsableSeconds: 100, DeleteSeconds: 3},
				Sample{Round: 2, Tool: kindName, Case: "3", Error: "exit status 1:\n  no capabilities"})
		},
		"floor": func(r *Report) { r.Samples, r.Settings.Cases = nil, nil },
		"nothing": func(r *Report) {
			*r = Report{Settings: Settings{Cases: Cases[:1]}, Floor: []FloorSample{{Round: 1, Error: "etcd ended"}}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := fullReport()
			edit(r)
			r.Summarize()
			golden.Check(t, filepath.Join("testdata", name+".golden.md"), r.Table())
		})
	}
}

// TestAfterReadyOfNothing sees that a cluster that was usable as soon as it was
// Ready counts, and one that never was does not.
func TestAfterReadyOfNothing(t *testing.T) {
	for _, test := range []struct {
		s    Sample
		want []float64
	}{
		{Sample{ReadySeconds: 3, UsableSeconds: 3}, []float64{0}},
		{Sample{ReadySeconds: 3, UsableSeconds: 5}, []float64{2}},
		{Sample{ReadySeconds: 3}, nil},
	} {
		if diff := cmp.Diff(test.want, afterReady(test.s)); diff != "" {
			t.Errorf("%+v: -want +got:\n%s", test.s, diff)
		}
	}
}

func TestMet(t *testing.T) {
	most, least := target{must: 4, aim: 2}, target{must: 3, aim: 5, atLeast: true}
	for _, test := range []struct {
		t     target
		value float64
		want  string
	}{
		{most, 1, "aim"},
		{most, 2, "aim"},
		{most, 3, "must"},
		{most, 4, "must"},
		{most, 4.1, "no"},
		{least, 6, "aim"},
		{least, 5, "aim"},
		{least, 4, "must"},
		{least, 3, "must"},
		{least, 2.9, "no"},
	} {
		if got := test.t.met(&Spread{Median: test.value}); got != test.want {
			t.Errorf("%g of %+v: got %q, want %q", test.value, test.t, got, test.want)
		}
	}
	if got := most.met(nil); got != "" {
		t.Errorf("nothing measured meets %q", got)
	}
}

func TestReportFile(t *testing.T) {
	want := fullReport()
	want.Summarize()
	file := filepath.Join(t.TempDir(), "report.json")
	if err := want.Write(file); err != nil {
		t.Fatal(err)
	}
	got, err := ReadReport(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-written +read:\n%s", diff)
	}
	if got.Table() != want.Table() {
		t.Error("the table of what was read is another one")
	}
}

func TestReadReportRefuses(t *testing.T) {
	for name, text := range map[string]string{"another form": `{"form": 99}`, "no JSON": "| a | b |"} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "report.json")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if r, err := ReadReport(file); err == nil {
				t.Errorf("got %+v", r)
			}
		})
	}
}

func TestWriteDoc(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.md")
	page := "# Page\n\n" + benchMarks.begin + "\nold table\n\n" + benchMarks.end + "\nrest\n"
	if err := os.WriteFile(file, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	r := fullReport()
	r.Summarize()
	for range 2 { // again and again, it stays one table
		if err := r.WriteDoc(file); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := "# Page\n\n" + benchMarks.begin + "\n" + r.Table() + "\n" + benchMarks.end + "\nrest\n"
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestWriteDocNeedsMarks(t *testing.T) {
	m := benchMarks
	for name, page := range map[string]string{
		"none": "x", "begin": m.begin, "end": m.end, "wrong order": m.end + m.begin, "another table's": runtimeMarks.begin + runtimeMarks.end,
	} {
		if got, err := m.insert(page, "table"); err == nil {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

// TestDocPages sees that the pages of the repository have the marks.
func TestDocPages(t *testing.T) {
	for file, m := range map[string]marks{"bench.md": benchMarks, "runtimes.md": runtimeMarks} {
		page, err := os.ReadFile("../../docs/" + file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.insert(string(page), "table"); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestFailed(t *testing.T) {
	r := fullReport()
	if err := r.Failed(); err != nil {
		t.Errorf("nothing failed, but: %v", err)
	}
	r.Samples[2].Tool, r.Samples[2].Error = kindName, "no"
	if err := r.Failed(); err != nil {
		t.Errorf("kind alone failed, but: %v", err)
	}
	r.Samples[3].Error = "no"
	if err := r.Failed(); err == nil || !strings.HasPrefix(err.Error(), "1 of 10 ") {
		t.Errorf("got %v", err)
	}
}
