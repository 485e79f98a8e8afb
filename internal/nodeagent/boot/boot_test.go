package boot

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// repairs are the steps that a node must go through, by what breaks without
// them; taking one out needs a reason.
var repairs = []string{
	"user-namespace", "cgroup-mounts-writable", "mount-setuid", "shared-mounts", "cgroup-v1-unscoped",
	"cgroup-v1-misc", "cgroup-v1-unified", "cgroup-v1-kubelet", "booted-mark", "machine-id", "product-files", "kernel-log",
	"kernel-parameters", "addresses", "iptables-alternative", "dns", "proxy-environment", "authorities", "etcd-data", "static-pods",
	"runtime-configuration", "kubelet-runtime", "pod-network-configuration",
}

func TestSteps(t *testing.T) {
	var names []string
	for _, s := range Steps {
		names = append(names, s.Name)
		if s.Why == "" || s.Run == nil {
			t.Errorf("step %q is not complete", s.Name)
		}
	}
	if diff := cmp.Diff(repairs, names); diff != "" {
		t.Error(diff)
	}
}

func TestRun(t *testing.T) {
	fail := func(context.Context, *Machine) error { return errBroken }
	var ran []string
	ok := func(name string) Step {
		return Step{Name: name, Run: func(context.Context, *Machine) error { ran = append(ran, name); return nil }}
	}
	m, _ := newMachine(t, nil)
	skipped := ok("skipped")
	skipped.When = func(*Machine) bool { return false }
	err := Run(t.Context(), m, []Step{
		ok("first"), {Name: "optional", Run: fail}, skipped, ok("second"), {Name: "needed", Needed: true, Run: fail}, ok("third"),
	})
	if !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff([]string{"first", "second"}, ran); diff != "" {
		t.Error(diff)
	}
}

// A node boots, and boots again with what the first boot left; the second time
// nothing is mounted twice.
func TestAllStepsTwice(t *testing.T) {
	m, kernel := newMachine(t, dockerV1)
	if err := Run(t.Context(), m, Steps); err != nil {
		t.Fatal(err)
	}
	before := m.text(t, "/etc/machine-id")
	kernel.calls = nil
	if err := Run(t.Context(), m, Steps); err != nil {
		t.Fatal(err)
	}
	if after := m.text(t, "/etc/machine-id"); after != before {
		t.Error("the machine-id changed at a restart")
	}
	if slices.ContainsFunc(kernel.calls, func(c string) bool {
		return c == "mount -o bind /sys/fs/cgroup/cpu/kubelet /sys/fs/cgroup/cpu/kubelet"
	}) {
		t.Errorf("mounted twice: %q", kernel.calls)
	}
}

func TestReadNode(t *testing.T) {
	for _, tc := range []struct {
		name, text, want string
		fails            bool
	}{
		{"cluster", `{"protocol":6,"cluster":"c","name":"n"}`, "n", false},
		{"other protocol", `{"protocol":99,"name":"n"}`, "", true},
		{"damaged", `{`, "", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root := t.TempDir()
			put(t, root, "/etc/kluster/node.json", tc.text)
			node, err := ReadNode(root)
			if (err != nil) != tc.fails || node.Name != tc.want {
				t.Errorf("got %+v, %v", node, err)
			}
		})
	}
	if node, err := ReadNode(t.TempDir()); err != nil || node.Name != "" {
		t.Errorf("a bare machine: %+v, %v", node, err)
	}
}
