package faults

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/kluster-project/kluster/internal/fault"
	"github.com/kluster-project/kluster/internal/nodespec"
)

// fakeNode is a Machine that keeps a record of what it runs.
type fakeNode struct {
	*Machine
	calls []string
	// broken makes calls that contain it fail; outputs are what others print.
	broken  string
	outputs map[string]string
	killed  []int
	ready   bool
}

func newNode(t *testing.T) *fakeNode {
	t.Helper()
	f := &fakeNode{outputs: map[string]string{"show --property=LoadState": "loaded\n"}}
	f.Machine = &Machine{
		Root: t.TempDir(), Self: "/kluster-node", Log: slog.New(slog.DiscardHandler), Output: f.run,
		Kill:  func(pid int) error { f.killed = append(f.killed, pid); return nil },
		Ready: func() { f.ready = true },
	}
	f.write(t, "proc/meminfo", "MemTotal: 9000000 kB\nMemAvailable: 4194304 kB\n")
	before := routesVia
	routesVia = func([]netip.Addr) ([]netip.Prefix, error) { return nil, nil }
	t.Cleanup(func() { routesVia = before })
	return f
}

func (f *fakeNode) write(t *testing.T, file, text string) {
	t.Helper()
	file = filepath.Join(f.Root, file)
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func (f *fakeNode) run(_ context.Context, stdin, name string, args ...string) (string, error) {
	call := strings.Join(append([]string{name}, args...), " ")
	if stdin != "" && strings.Contains(stdin, "{") {
		call += " < rules"
	}
	f.calls = append(f.calls, call)
	if f.broken != "" && strings.Contains(call, f.broken) {
		return "", fmt.Errorf("running %s: broken", name)
	}
	for part, out := range f.outputs {
		if strings.Contains(call, part) {
			return out, nil
		}
	}
	return "", nil
}

// short are the calls without their flags.
func (f *fakeNode) short() []string {
	var all []string
	for _, call := range f.calls {
		words := slices.DeleteFunc(strings.Fields(call), func(w string) bool {
			return strings.HasPrefix(w, "--property") || strings.HasPrefix(w, "--timer") || strings.HasPrefix(w, "--on") || w == "--quiet" || w == "--collect"
		})
		all = append(all, strings.Join(words, " "))
	}
	return all
}

func order(kind fault.Kind, params map[string]string) fault.Order {
	now := time.Now()
	return fault.Order{Node: "c-worker-1", Active: fault.Active{
		ID: "abcd2345", Cluster: "c", Kind: kind, Nodes: []string{"c-worker-1"}, Params: params,
		Since: now, Until: now.Add(30 * time.Second), Undo: fault.ByNode,
	}, Peers: []fault.Peer{{Name: "c-lb", Addrs: []netip.Addr{netip.MustParseAddr("172.28.0.9")}, In: true, Out: true}}}
}

func (f *fakeNode) holds(t *testing.T) []string {
	t.Helper()
	all, err := f.List()
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, o := range all {
		ids = append(ids, o.ID)
	}
	return ids
}

func TestTheUndoIsArmedFirst(t *testing.T) {
	arm := "systemd-run --unit=kluster-undo-abcd2345 -- /kluster-node fault undo abcd2345"
	work := "systemd-run --unit=kluster-fault-abcd2345.service -- /kluster-node fault work abcd2345"
	end := []string{"systemctl show --value kluster-fault-abcd2345.service", "systemctl stop kluster-fault-abcd2345.service"}
	disarm := "systemctl stop kluster-undo-abcd2345.timer"
	for name, test := range map[string]struct {
		order fault.Order
		does  []string
		undo  []string
	}{
		"partition": {
			order(fault.Partition, nil),
			[]string{"nft --check --file - < rules", arm, "nft --file - < rules"},
			[]string{"nft --file -", disarm},
		},
		"cpu": {order(fault.CPU, nil), []string{arm, work}, slices.Concat(end, []string{disarm})},
		"memory": {
			order(fault.Memory, map[string]string{"size": "1Mi"}),
			[]string{arm, work},
			slices.Concat(end, []string{disarm}),
		},
		"kubelet again and again": {
			order(fault.KillProcess, map[string]string{"process": "kubelet"}),
			[]string{"systemctl show --value kubelet.service", arm, "systemctl show --value kubelet.service", work},
			slices.Concat(end, []string{"systemctl reset-failed kubelet.service", "systemctl start --no-block kubelet.service", disarm}),
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newNode(t)
			f.outputs["MainPID"] = "77\n"
			if err := f.Start(t.Context(), test.order); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.does, f.short()); diff != "" {
				t.Errorf("start: %s", diff)
			}
			if diff := cmp.Diff([]string{"abcd2345"}, f.holds(t)); diff != "" {
				t.Errorf("holds: %s", diff)
			}
			f.calls = nil
			if err := f.Start(t.Context(), test.order); !errors.As(err, new(*RefusedError)) || len(f.calls) > 0 {
				t.Errorf("the same again: %v, %q", err, f.calls)
			}
			if err := f.Undo(t.Context(), test.order.ID); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.undo, f.short()); diff != "" {
				t.Errorf("undo: %s", diff)
			}
			f.calls = nil
			if err := f.Undo(t.Context(), test.order.ID); err != nil || len(f.calls) > 0 || len(f.holds(t)) > 0 {
				t.Errorf("a second undo: %v, %q, holds %q", err, f.calls, f.holds(t))
			}
		})
	}
}

// TestTimes sees when the timer and the limit of the process come.
func TestTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newNode(t)
		if err := f.Start(t.Context(), order(fault.CPU, nil)); err != nil {
			t.Fatal(err)
		}
		for call, want := range map[string]string{f.calls[0]: " --on-active=30000ms ", f.calls[1]: " --property=RuntimeMaxSec=35s "} {
			if !strings.Contains(call, want) {
				t.Errorf("%q lacks %q", call, want)
			}
		}
	})
}

func TestWhatFailsIsUndoneAtOnce(t *testing.T) {
	for _, broken := range []string{"--on-active", "nft --file - < rules"} {
		t.Run(broken, func(t *testing.T) {
			f := newNode(t)
			f.broken = broken
			if err := f.Start(t.Context(), order(fault.Partition, nil)); err == nil {
				t.Error("it succeeded")
			}
			if last := f.calls[len(f.calls)-2:]; last[0] != "nft --file -" || last[1] != "systemctl stop kluster-undo-abcd2345.timer" {
				t.Errorf("calls: %q", f.calls)
			}
			if ids := f.holds(t); len(ids) > 0 {
				t.Errorf("it holds %q", ids)
			}
		})
	}
}

func TestWhatCannotBeUndoneStays(t *testing.T) {
	f := newNode(t)
	if err := f.Start(t.Context(), order(fault.Partition, nil)); err != nil {
		t.Fatal(err)
	}
	f.broken, f.calls = "nft", nil
	if err := f.Undo(t.Context(), "abcd2345"); err == nil {
		t.Error("it succeeded")
	}
	if len(f.calls) != 1 || len(f.holds(t)) != 1 {
		t.Errorf("timer and record are for the next try: %q", f.calls)
	}
}

func TestRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		order   fault.Order
		prepare func(f *fakeNode)
		why     string
	}{
		"kernel":             {order(fault.Partition, nil), func(f *fakeNode) { f.broken = "--check" }, "its kernel does not take the packet rules"},
		"nothing to kill":    {order(fault.KillProcess, map[string]string{"process": "etcd"}), nil, "no etcd runs in it"},
		"more than there is": {order(fault.Memory, map[string]string{"size": "4Gi"}), nil, "3072 MiB left to take, less than 4096 MiB"},
		"no limit, no size":  {order(fault.Memory, nil), nil, "no limit of its own"},
		"from outside":       {order(fault.Pause, nil), nil, "does not know faults of kind"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newNode(t)
			if test.prepare != nil {
				test.prepare(f)
			}
			err := f.Start(t.Context(), test.order)
			if refused, ok := errors.AsType[*RefusedError](err); !ok || !strings.Contains(refused.Why, test.why) {
				t.Errorf("err = %v", err)
			}
			if ids := f.holds(t); len(ids) > 0 || slices.ContainsFunc(f.calls, func(c string) bool { return strings.Contains(c, "systemd-run") }) {
				t.Errorf("holds %q after %q", ids, f.calls)
			}
		})
	}
}

func TestHostileIDs(t *testing.T) {
	f := newNode(t)
	for _, id := range []string{"", "../x", "a/b", "--help", "lock", strings.Repeat("a", 40)} {
		if f.Undo(t.Context(), id) == nil || f.Work(t.Context(), id) == nil {
			t.Errorf("%q is taken", id)
		}
	}
	if len(f.calls) > 0 {
		t.Errorf("calls: %q", f.calls)
	}
}

// processes are a node's: name, cgroup by PID.
func (f *fakeNode) processes(t *testing.T, all map[int][2]string) {
	t.Helper()
	for pid, p := range all {
		f.write(t, fmt.Sprintf("proc/%d/comm", pid), p[0]+"\n")
		f.write(t, fmt.Sprintf("proc/%d/cgroup", pid), p[1]+"\n")
	}
}

func TestVictims(t *testing.T) {
	const static, ofAPI = "0::/kubelet/kubepods/burstable/pod0123456789abcdef0123456789abcdef/x", "0::/kubelet/kubepods/pod01234567-89ab-cdef-0123-456789abcdef/x"
	f := newNode(t)
	f.write(t, nodespec.NodeFile, fmt.Sprintf(`{"protocol": %d, "runtime": "cri-dockerd"}`, nodespec.Protocol))
	f.outputs["MainPID --value docker.service"], f.outputs["MainPID --value cri-docker.service"] = "31\n", "0\n"
	f.processes(t, map[int][2]string{
		1: {"haproxy", "0::/"}, 5: {"etcd", static}, 6: {"etcd", ofAPI}, 7: {"etcd", "0::/system.slice/x.service"},
		8: {"kube-controller", static}, 9: {"haproxy", "0::/"},
		10: {"etcd", "0::/kubepods-burstable-pod0123456789abcdef0123456789abcdef.slice/cri-x.scope"},
	})
	for process, want := range map[string][]int{
		"etcd": {5, 10}, "controller-manager": {8}, "haproxy": {9}, "scheduler": nil, "runtime": {31},
	} {
		t.Run(process, func(t *testing.T) {
			f.killed = nil
			o := order(fault.KillProcess, map[string]string{"process": process})
			o.Until = o.Since
			if err := killOnce(t.Context(), f.Machine, o); err != nil {
				t.Fatal(err)
			}
			slices.Sort(f.killed)
			if diff := cmp.Diff(want, f.killed); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestOnce sees that what happens once needs neither timer nor record.
func TestOnce(t *testing.T) {
	f := newNode(t)
	f.outputs["MainPID"] = "77"
	o := order(fault.KillProcess, map[string]string{"process": "kubelet"})
	o.Until = o.Since
	if err := f.Start(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(f.path(dir)); err == nil {
		t.Error("it wants a folder, which the load balancer has no room for")
	}
	if !slices.Equal(f.killed, []int{77}) || len(f.holds(t)) > 0 || slices.ContainsFunc(f.calls, func(c string) bool { return strings.Contains(c, "systemd-run") }) {
		t.Errorf("killed %v, holds %q, calls %q", f.killed, f.holds(t), f.calls)
	}
}

// TestWorkEnds runs the processes of faults until their time is up.
func TestWorkEnds(t *testing.T) {
	for name, o := range map[string]fault.Order{
		"cpu": order(fault.CPU, map[string]string{"cpus": "1"}), "memory": order(fault.Memory, map[string]string{"size": "1Mi"}),
		"kill": order(fault.KillProcess, map[string]string{"process": "kubelet"}),
	} {
		t.Run(name, func(t *testing.T) {
			f := newNode(t)
			o.Until = time.Now().Add(time.Second / 2)
			if err := errors.Join(os.MkdirAll(f.path(dir), 0o700), f.record(o)); err != nil {
				t.Fatal(err)
			}
			if err := f.Work(t.Context(), o.ID); err != nil || !f.ready {
				t.Errorf("ready %t: %v", f.ready, err)
			}
			if late := time.Since(o.Until); late < 0 || late > 10*time.Second {
				t.Errorf("it ended %v after its time", late)
			}
		})
	}
}

func TestSizes(t *testing.T) {
	const mi = 1 << 20
	for name, test := range map[string]struct {
		files map[string]string
		size  string
		want  int64
	}{
		"given":                 {nil, "100Mi", 100 * mi},
		"rest of a limit":       {map[string]string{"memory.max": "1073741824", "memory.current": "73741824"}, "", 900000000},
		"version 1":             {map[string]string{"memory/memory.limit_in_bytes": "1073741824", "memory/memory.usage_in_bytes": "73741824"}, "", 900000000},
		"version 1, no limit":   {map[string]string{"memory/memory.limit_in_bytes": "9223372036854771712"}, "5Mi", 5 * mi},
		"limit beyond the host": {map[string]string{"memory.max": "99999999999999", "memory.current": "0"}, "", 2899102924},
	} {
		t.Run(name, func(t *testing.T) {
			f := newNode(t)
			for file, text := range test.files {
				f.write(t, "sys/fs/cgroup/"+file, text+"\n")
			}
			params := map[string]string{}
			if test.size != "" {
				params["size"] = test.size
			}
			got, err := f.sizeOf(order(fault.Memory, params))
			if got != test.want || err != nil {
				t.Errorf("%d, want %d: %v", got, test.want, err)
			}
		})
	}
}

// TestPartitionRules has the real nft look at the rules, where it is, in a network of
// its own.
func TestPartitionRules(t *testing.T) {
	newNode(t)
	routesVia = func(via []netip.Addr) ([]netip.Prefix, error) {
		return map[string][]netip.Prefix{
			"172.28.0.3": {netip.MustParsePrefix("10.244.1.0/24"), netip.MustParsePrefix("fd00:1::/64"), netip.MustParsePrefix("10.244.1.7/32")},
		}[via[0].String()], nil
	}
	o := order(fault.Partition, nil)
	o.Peers = []fault.Peer{
		{Name: "c-worker-2", Addrs: []netip.Addr{netip.MustParseAddr("172.28.0.3"), netip.MustParseAddr("fd12::3")}, In: true, Out: true},
		{Name: "c-worker-3", Addrs: []netip.Addr{netip.MustParseAddr("172.28.0.4")}, In: true},
	}
	rules, err := partitionRules(o)
	if err != nil {
		t.Fatal(err)
	}
	const want = `table inet kluster_fault_abcd2345
delete table inet kluster_fault_abcd2345
table inet kluster_fault_abcd2345 {
	chain arrival {
		type filter hook prerouting priority -450; policy accept;
		ip saddr { 10.244.1.0/24, 172.28.0.3/32, 172.28.0.4/32 } counter drop
		ip6 saddr { fd00:1::/64, fd12::3/128 } counter drop
	}
	chain leaving {
		type filter hook postrouting priority 450; policy accept;
		ip daddr { 10.244.1.0/24, 172.28.0.3/32 } counter drop
		ip6 daddr { fd00:1::/64, fd12::3/128 } counter drop
	}
}
`
	if diff := cmp.Diff(want, rules); diff != "" {
		t.Error(diff)
	}
	nft, err := exec.LookPath("nft")
	if err != nil || os.Geteuid() != 0 {
		t.Skip("needs nft and root for a network namespace")
	}
	for name, text := range map[string]string{"cut off": rules, "reunited": emptied(o.ID)} {
		cmd := exec.CommandContext(t.Context(), nft, "--check", "--file", "-")
		cmd.Stdin = strings.NewReader(text)
		cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}

// TestEveryKindIsDone sees that the table's kinds that nodes undo are all here.
func TestEveryKindIsDone(t *testing.T) {
	var want []fault.Kind
	for _, info := range fault.Kinds() {
		if info.Undo == fault.ByNode {
			want = append(want, info.Kind)
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(kinds))); diff != "" {
		t.Error(diff)
	}
}
