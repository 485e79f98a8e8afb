package chaos

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/golden"
)

func sample() Report {
	detected := In(1234 * time.Millisecond)
	killed := Row{
		Started: &detected, Pods: []Pod{{"c-control-plane-1", 190, 0.31}, {"c-control-plane-3", 188, 0.5}}, Neighbour: 1.02,
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
		Wrong: []string{"stale read"}, Restarted: []string{"default/web-1"}, Left: []string{"volume x"}, Outside: []string{"+ tc: netem"}, Said: "disk full",
	}
	return Report{Machine: "2 cores", Rows: []Row{
		killed.Judge(Budget{Meter: Back, Most: 30}, Budget{Meter: Paused, Most: 0.4}, Budget{Meter: Gap, Most: 5}, Budget{Meter: Whole, Most: 30}),
		wrong.Judge(Budget{Meter: NotReady}),
	}}
}

func TestMarkdown(t *testing.T) {
	golden.Check(t, filepath.Join("testdata", "report.golden"), sample().Markdown())
}

// TestJudge sees that every meter reads what it is named for: a row that has too much of that
// alone is unmet by it, and met without.
func TestJudge(t *testing.T) {
	bad := map[Meter]Row{
		Lost:          {Wrong: []string{"x"}},
		Gap:           {Ways: []Way{{Name: "c-1", Gap: 1}, {Name: LoadBalancer, Gap: 5.5}}},
		Ready:         {Ready: 5.5},
		Whole:         {Whole: 5.5},
		Written:       {Written: 5.5},
		Refused:       {CutOff: 1},
		Leaders:       {MostLeaders: 2},
		LeaderChanges: {LeaderChanges: 2},
		NotReady:      {NodesNotReady: []string{"x"}},
		Restarts:      {Restarted: []string{"x"}},
		Leaks:         {Left: []string{"x"}},
		Silent:        {},
		Back:          {Ready: 5.5},
		Paused:        {Pods: []Pod{{Pause: 1}, {Pause: 5.5}}},
		Outside:       {Outside: []string{"x"}},
	}
	fine := Row{Said: "x", MostLeaders: 1, LeaderChanges: 1, Pods: []Pod{{Pause: 1}}, Ways: []Way{{Name: LoadBalancer, Gap: 1}, {Name: "c-1", Gap: 9}}}
	most := map[Meter]float64{Gap: 5, Ready: 5, Whole: 5, Written: 5, Leaders: 1, LeaderChanges: 1, Back: 5, Paused: 5}
	for meter := range meters {
		row, ok := bad[meter]
		if !ok {
			t.Errorf("%s has no row that it finds", meter)
		}
		b := Budget{Meter: meter, Most: most[meter]}
		if got := row.Judge(b).Budgets[0]; got.Met || got.Got <= b.Most {
			t.Errorf("%s is not found: %s", meter, got.Measured())
		}
		if got := fine.Judge(b).Budgets[0]; !got.Met {
			t.Errorf("%s is found where it is not: %s", meter, got.Measured())
		}
	}
	for _, b := range everyRow {
		if got := bad[b.Meter].Judge().Budgets; !slices.ContainsFunc(got, func(o Budget) bool { return o.Meter == b.Meter && !o.Met }) {
			t.Errorf("no row is judged by %s", b.Meter)
		}
	}
}

// TestJudgeSeesSomething: a pause of no pod is no short one.
func TestJudgeSeesSomething(t *testing.T) {
	b := Row{}.Judge(Budget{Meter: Paused, Most: 5}).Budgets[0]
	if b.Met || b.Measured() != "nothing to measure" {
		t.Errorf("%+v: %s", b, b.Measured())
	}
}

// TestUnmet: what a person is told at the end.
func TestUnmet(t *testing.T) {
	r := sample()
	want := `7 of 15 budgets are unmet:
  kill: pause of a pod that the fault spares ≤ 0.4 s, but it was 0.5 s
  kill: all works again ≤ 30 s, but it was 31 s
  haproxy (cri-o): no lost write or stale read, but it was 1
  haproxy (cri-o): leaders of one term ≤ 1, but it was 2
  haproxy (cri-o): no other pod restarted, but it was 1
  haproxy (cri-o): no thing left behind, but it was 1
  haproxy (cri-o): no change outside the cluster, but it was 1
`
	if diff := cmp.Diff(want, r.Unmet()); diff != "" {
		t.Error(diff)
	}
	r.Rows = []Row{{Name: "a", MostLeaders: 1}, {Name: "b", MostLeaders: 1}}
	for i, row := range r.Rows {
		r.Rows[i] = row.Judge()
	}
	if diff := cmp.Diff("All of 10 budgets are met.\n", r.Unmet()); diff != "" {
		t.Error(diff)
	}
	if none := (Report{}).Unmet(); none != "" {
		t.Errorf("of no rows: %q", none)
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
