package chaos_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
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
		{"kube-system/kube-scheduler-1", "1", "x", 0},
		{"kube-system/kube-controller-manager-1", "1", "x", 0},
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
		{"kube-system/kube-scheduler-1", "1", "x", 1},
		{"kube-system/kube-controller-manager-1", "1", "x", 1},
	} {
		after[p.name] = p
	}
	gone := []string{"a/again", "a/gone (another one)", "a/other (another one)"}
	for _, c := range []struct {
		spares func([]string, pod) bool
		want   []string
	}{
		{elsewhere, append(slices.Clone(gone), "kube-system/kube-controller-manager-1", "kube-system/kube-scheduler-1")},
		{elsewhereButLed, gone},
		{none, []string{}},
		{butStatic("etcd"), []string{
			"a/again", "a/gone (another one)", "a/hit", "a/other (another one)", "kube-system/kube-controller-manager-1", "kube-system/kube-scheduler-1",
		}},
	} {
		got := restartedPods(before, after, func(p pod) bool { return c.spares([]string{"2"}, p) })
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Error(diff)
		}
	}
}

// TestBroken: what is no time fails a row, by name, if the row promises it; pods must go on in time.
func TestBroken(t *testing.T) {
	result := chaos.Row{
		Fault: "kluster fault disk-full", Targets: []string{"c-1"},
		Restarted: []string{"a/web"}, NodesNotReady: []string{"c-2"}, Left: []string{"c-3: netem"}, Whole: 1000,
		Outside: []string{"+ tc: netem"}, Pods: []chaos.Pod{{Node: "c-2", Answers: 7, Pause: 2.5}},
	}
	every := []string{`other pods that restarted: ["a/web"]`, `left behind: ["c-3: netem"]`, `changed outside the cluster: ["+ tc: netem"]`}
	own := []string{
		`nodes that went NotReady: ["c-2"]`, `nobody is told of "kluster fault disk-full" in ["c-1"]`,
		`pods that did not go on: [{Node:c-2 Answers:7 Pause:2.50 s}]`,
	}
	late := "all works again ≤ 30 s, it was 1000 s"
	for _, test := range []struct {
		strict bool
		within []chaos.Budget
		result chaos.Row
		want   []string
	}{
		{false, []chaos.Budget{whole}, result, every},
		{false, []chaos.Budget{noneGone, said, goesOn, whole}, result, slices.Concat(own, every)},
		{true, []chaos.Budget{noneGone, said, goesOn, whole}, result, slices.Concat(own, []string{late}, every)},
		{false, []chaos.Budget{noneGone, said, goesOn, whole}, chaos.Row{Said: "no space left", Whole: 1000, Pods: []chaos.Pod{{Node: "c-2", Answers: 7, Pause: 1}}}, nil},
		{false, []chaos.Budget{goesOn}, chaos.Row{}, []string{"no pod was asked whether it goes on"}},
	} {
		if diff := cmp.Diff(test.want, broken(test.result.Judge(test.within...), test.strict)); diff != "" {
			t.Error(diff)
		}
	}
}

// TestTraces: the script finds what faults leave, by the names that they give it.
func TestTraces(t *testing.T) {
	bin := t.TempDir()
	for name, script := range map[string]string{
		"nft":       `[ "$2" = ruleset ] && echo 'table inet kluster_fault_abcd2345 {'`,
		"tc":        `echo 'qdisc netem 8001: dev eth0'; echo 'qdisc noqueue 0: dev lo'`,
		"ip":        `echo '7: kluster-sink@kluster-sink-e: <UP> mtu 1500'; echo '2: eth0: <UP>'`,
		"ls":        `case "$*" in *faults*) echo lock; echo abcd2345.json;; *-d*) for f in "$@"; do echo "$f"; done | grep /;; esac`,
		"systemctl": `for u in "$@"; do case "$u" in kluster-*) echo "$u";; esac; done`,
		"pgrep":     "exit 1",
	} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil { //nolint:gosec // it is run
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", strings.ReplaceAll(traces, "/proc/mounts", filepath.Join(bin, "mounts")))
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
	mounts := "/dev/loop3 /var/lib/etcd ext4 rw 0 0\n/dev/sda /run/kluster/etcd-volume ext4 rw 0 0\ntmpfs /run tmpfs rw 0 0\n"
	if err := os.WriteFile(filepath.Join(bin, "mounts"), []byte(mounts), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"table inet kluster_fault_abcd2345 {", "qdisc netem 8001: dev eth0", "kluster-sink", "kluster-sink-e", "abcd2345.json",
		"/var/lib/etcd/.kluster*", "/dev/loop3 /var/lib/etcd", "/run/kluster/etcd-volume", "kluster-fault*", "kluster-undo*",
	}
	if diff := cmp.Diff(want, strings.Split(strings.TrimSpace(string(out)), "\n")); diff != "" {
		t.Error(diff)
	}
}

// TestKnows: a guard of the cluster is its process, wherever its program was found.
func TestKnows(t *testing.T) {
	for line, want := range map[string]bool{
		"/bin/kluster fault guard it-chaos": true, "kluster create --name=it-chaos": true,
		"/bin/kluster fault guard other": false, "/bin/sh it-chaos": false, "": false,
	} {
		if knows(strings.Split(line, " "), "/work/bin/kluster", "it-chaos") != want {
			t.Errorf("%q", line)
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
	seen, last := map[string]bool{}, row{}
	for _, r := range rows {
		if seen[r.name] {
			t.Errorf("two rows are named %q", r.name)
		}
		seen[r.name] = true
		if (r.fault.do == nil) == (r.fault.words == nil) {
			t.Errorf("%s: either kluster does the fault, or the row", r.name)
		}
		if r.starts != slices.Contains(r.within, back) {
			t.Errorf("%s: the time since a start counts where there is one", r.name)
		}
		if last.fresh && !r.fresh {
			t.Errorf("%s: rows that share a cluster come first", r.name)
		}
		last = r
	}
}
