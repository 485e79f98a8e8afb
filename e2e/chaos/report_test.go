package chaos

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/golden"
)

func sample() Report {
	detected := In(1234 * time.Millisecond)
	killed := Row{
		Name: "kill", Fault: "kluster fault kill c-control-plane-2", Runtime: "containerd", Lasted: 20, Detected: &detected,
		Written: 0.21, Ready: 12.5, Whole: 31.004, LeaderChanges: 1, MostLeaders: 1,
		Ways: []Way{
			{Name: LoadBalancer, Ops: 1800, Writes: 890, Conflicts: 3, Failed: 4, Unknown: 5, Gap: 2.25},
			{Name: "c-control-plane-1", Ops: 600, Writes: 300, Gap: 1.5},
			{Name: "c-control-plane-2", Ops: 500, Writes: 200, Failed: 50, Gap: 22},
		},
	}
	wrong := Row{
		Name: "haproxy", Fault: "SIGKILL", Runtime: "cri-o", MostLeaders: 2,
		Wrong: []string{"stale read"}, Restarted: []string{"default/web-1"}, Left: []string{"volume x"}, Said: "disk full",
	}
	return Report{Machine: "2 cores", Rows: []Row{
		killed.Judge(Budget{Meter: Gap, Most: 5}, Budget{Meter: Whole, Most: 30}),
		wrong.Judge(Budget{Meter: NotReady}),
	}}
}

func TestMarkdown(t *testing.T) {
	golden.Check(t, filepath.Join("testdata", "report.golden"), sample().Markdown())
}

// TestJudge sees that every meter can be read, and that more than the most is unmet.
func TestJudge(t *testing.T) {
	for meter := range meters {
		row := Row{Wrong: []string{"x"}}.Judge(Budget{Meter: meter, Most: 100})
		if !row.Budgets[0].Met {
			t.Errorf("%s of an empty row is %s", meter, row.Budgets[0].Measured())
		}
	}
	row := Row{Ready: 30.5}.Judge(Budget{Meter: Ready, Most: 30})
	if b := row.Budgets[0]; b.Met || b.Got != 30.5 {
		t.Errorf("%+v", b)
	}
}

// TestMerge: a row that runs again takes its own place.
func TestMerge(t *testing.T) {
	base := filepath.Join(t.TempDir(), "new", "chaos")
	none, err := Read(base + ".json")
	if err != nil || len(none.Rows) > 0 {
		t.Fatal(none, err)
	}
	if err := sample().Write(base); err != nil {
		t.Fatal(err)
	}
	got, err := Read(base + ".json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sample(), got); diff != "" {
		t.Fatal(diff)
	}
	got.Put(Row{Name: "kill", Runtime: "containerd", Ready: 7})
	got.Put(Row{Name: "first"})
	got.Sort([]string{"first", "haproxy"})
	var names []string
	for _, row := range got.Rows {
		names = append(names, row.Name+" "+row.Ready.String())
	}
	if diff := cmp.Diff("first 0.00 s, haproxy 0.00 s, kill 7.00 s", strings.Join(names, ", ")); diff != "" {
		t.Error(diff)
	}
}
