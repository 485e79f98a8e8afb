package chaos_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/e2e/chaos"
	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

func TestRestartedPods(t *testing.T) {
	before := map[string]pod{}
	for _, p := range []pod{
		{"a/same", "1", "x", 3},
		{"a/again", "1", "x", 0},
		{"a/gone", "1", "x", 0},
		{"a/other", "1", "x", 0},
		{"a/hit", "2", "x", 0},
		{"kube-system/etcd-2", "2", "x", 0},
	} {
		before[p.name] = p
	}
	after := map[string]pod{}
	for _, p := range []pod{
		{"a/same", "1", "x", 3},
		{"a/again", "1", "x", 1},
		{"a/other", "1", "y", 0},
		{"a/hit", "2", "x", 5},
		{"a/new", "1", "z", 9},
		{"kube-system/etcd-2", "2", "x", 1},
	} {
		after[p.name] = p
	}
	for _, c := range []struct {
		spares func([]string, pod) bool
		want   []string
	}{
		{elsewhere, []string{"a/again", "a/gone (another one)", "a/other (another one)"}},
		{none, []string{}},
		{butStatic("etcd"), []string{"a/again", "a/gone (another one)", "a/hit", "a/other (another one)"}},
	} {
		got := restartedPods(before, after, func(p pod) bool { return c.spares([]string{"2"}, p) })
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Error(diff)
		}
	}
}

// TestBroken: what is no time fails a row, by name, if the row promises it.
func TestBroken(t *testing.T) {
	result := chaos.Row{
		Fault: "kluster fault disk-full", Targets: []string{"c-1"},
		Restarted: []string{"a/web"}, NodesNotReady: []string{"c-2"}, Left: []string{"c-3: netem"}, Whole: 1000,
	}
	every := []string{`other pods that restarted: ["a/web"]`, `left behind: ["c-3: netem"]`}
	own := []string{`nodes that went NotReady: ["c-2"]`, `nobody is told of "kluster fault disk-full" in ["c-1"]`}
	for _, test := range []struct {
		within []chaos.Budget
		result chaos.Row
		want   []string
	}{
		{[]chaos.Budget{whole}, result, every},
		{[]chaos.Budget{noneGone, said, whole}, result, append(own, every...)},
		{[]chaos.Budget{noneGone, said, whole}, chaos.Row{Said: "no space left", Whole: 1000}, nil},
	} {
		if diff := cmp.Diff(test.want, broken(test.result.Judge(test.within...))); diff != "" {
			t.Error(diff)
		}
	}
}

// TestEtcdWatch: a term has the leaders that were seen in it.
func TestEtcdWatch(t *testing.T) {
	w := &etcdWatch{leaders: map[uint64]map[string]bool{}}
	for _, led := range []struct {
		term uint64
		name string
	}{{2, "a"}, {2, "a"}, {3, "b"}} {
		w.led(led.term, led.name)
	}
	if terms, most := w.terms(); terms != 2 || most != 1 {
		t.Errorf("%d terms, %d leaders in one", terms, most)
	}
	w.led(2, "b")
	if _, most := w.terms(); most != 2 {
		t.Errorf("two leaders in a term: %d", most)
	}
	var s harness.EtcdStatus
	if s.Leads() {
		t.Error("a member that knows no leader leads")
	}
}

// TestRows sees that rows can be told apart, and have a fault.
func TestRows(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range rows {
		if seen[r.name] {
			t.Errorf("two rows are named %q", r.name)
		}
		seen[r.name] = true
		if (r.fault.do == nil) == (r.fault.words == nil) {
			t.Errorf("%s: either kluster does the fault, or the row", r.name)
		}
	}
}
