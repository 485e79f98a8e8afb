package bench

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/golden"
)

// runtimeReport is a run of two rounds of two pairs, with plain numbers, and of one
// that could not be measured.
func runtimeReport() *Report {
	r := fullReport()
	r.Samples, r.Settings.Cases, r.KindNote, r.ImageBytes = nil, nil, "", 0
	failing := Pair{"cri-dockerd", "runc"}
	r.Settings.Runtimes = &RuntimeSettings{
		Pairs:   []Pair{testPairs[0], testPairs[1], failing},
		Images:  map[string]string{"containerd": "kluster/node:v1.36.3-0", "cri-o": "kluster/node:v1.36.3-1", "cri-dockerd": "kluster/node:v1.36.3-0"},
		Amounts: Amounts{Sequence: 10, Burst: 20, Idle: 30, ArchiveMB: 200},
	}
	for round := range 2 {
		for i, p := range testPairs {
			s := RuntimeSample{
				Pair: p, Sample: Sample{Round: round + 1, Tool: klusterName, Case: "1", Load: 1.25, ReadySeconds: float64(6 * (i + 1))},
				Reported: []string{"containerd://2.4.2", "cri-o://1.36.1"}[i], BurstSeconds: float64(5 + round),
				EmptyBytes: 500_000_000, FullBytes: 500_000_000 + int64(30*(3+round))*1_000_000, IdlePods: 30,
				ImportSeconds: float64(2 * (i + 1)), ImportBytes: 200_000_000,
			}
			for j := range 10 {
				at := 0.1*float64(j+1) + float64(round)
				s.Starts = append(s.Starts, PodStart{StartedSeconds: at, SeenSeconds: at + 0.5})
			}
			r.Runtimes = append(r.Runtimes, s)
		}
	}
	r.Runtimes = append(r.Runtimes, RuntimeSample{Pair: failing, Sample: Sample{Round: 1, Load: 1.25, Error: "exit status 1:\n  no room"}})
	return r
}

func TestRuntimeTable(t *testing.T) {
	for name, edit := range map[string]func(*Report){
		"runtimes": func(*Report) {},
		"runtimes-nothing": func(r *Report) {
			r.Runtimes, r.Settings.Runtimes.Pairs, r.Floor = nil, testPairs[:1], []FloorSample{{Round: 1, Error: "etcd ended"}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := runtimeReport()
			edit(r)
			r.Summarize()
			golden.Check(t, filepath.Join("testdata", name+".golden.md"), r.Table())
		})
	}
}

// TestLessThanNothing sees that a node that had more memory without its pods is told
// as it is.
func TestLessThanNothing(t *testing.T) {
	s := RuntimeSample{EmptyBytes: 100, FullBytes: 40, IdlePods: 3}
	if diff := cmp.Diff([]float64{-20}, memoryPerPod(s)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := memoryPerPod(RuntimeSample{EmptyBytes: 100}); got != nil {
		t.Errorf("without pods each has %v", got)
	}
}

func TestRuntimeReportFile(t *testing.T) {
	want := runtimeReport()
	want.Summarize()
	dir := t.TempDir()
	file, page := filepath.Join(dir, "report.json"), filepath.Join(dir, "page.md")
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
	text := benchMarks.begin + benchMarks.end + runtimeMarks.begin + runtimeMarks.end
	if err := os.WriteFile(page, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := got.WriteDoc(page); err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	// The other table's place is left as it is.
	text = benchMarks.begin + benchMarks.end + runtimeMarks.begin + "\n" + want.Table() + "\n" + runtimeMarks.end
	if diff := cmp.Diff(text, string(written)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
