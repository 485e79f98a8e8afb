package boot

import (
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kluster-project/kluster/internal/cri"
)

// enabled lists the units that systemd starts with the machine.
func (m *Machine) enabled(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(m.path(wantsDir))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestUnitsOfTheRuntime(t *testing.T) {
	m, _ := newMachine(t, nil)
	for _, name := range append(cri.Names(), cri.Names()...) { // every one after every other
		m.Node.Runtime = name
		mustStep(t, m, "runtime-configuration")
		runtime, err := cri.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		want := slices.Sorted(slices.Values(runtime.Units))
		if got := m.enabled(t); !slices.Equal(got, want) {
			t.Errorf("%s: systemd starts %v, not %v", name, got, want)
		}
		for _, unit := range []string{"kubelet.service", "kluster-booted.service"} {
			text := m.text(t, "/etc/systemd/system/"+unit+".d/10-kluster-runtime.conf")
			if !strings.Contains(text, "\nAfter="+strings.Join(runtime.Units, " ")+"\n") {
				t.Errorf("%s does not start after %s:\n%s", unit, name, text)
			}
		}
	}
}

func TestUnitsStartInTheirOrder(t *testing.T) {
	m, _ := newMachine(t, nil)
	m.Node.Runtime = "cri-dockerd"
	mustStep(t, m, "runtime-configuration")
	const file = "/etc/systemd/system/docker.service.d/10-kluster-runtime.conf"
	if text := m.text(t, file); !strings.Contains(text, "\nAfter=containerd.service kluster-mirrors.service\n") {
		t.Errorf("docker does not start after containerd and its proxy:\n%s", text)
	}
	m.Node.Runtime = "containerd"
	mustStep(t, m, "runtime-configuration")
	if text := m.text(t, "/etc/systemd/system/containerd.service.d/10-kluster-runtime.conf"); text != "" {
		t.Errorf("containerd waits for something:\n%s", text)
	}
}

func TestOCIRuntimesOfTheNode(t *testing.T) {
	m, _ := newMachine(t, map[string]string{"/usr/bin/crun": "", "/usr/local/sbin/runc": ""})
	for _, first := range []string{"", "crun"} {
		m.Node.OCIRuntime = first
		all, err := m.ociRuntimes()
		if err != nil || len(all) != 2 {
			t.Fatalf("%v, %v", all, err)
		}
		if want, _ := cri.GetOCI(first); all[0] != want {
			t.Errorf("asked for %q, got %v", first, all)
		}
	}
}

func TestPreloadedImagesInPlace(t *testing.T) {
	const store = "/opt/kluster/store/cri-o"
	m, kernel := newMachine(t, nil)
	m.Node.Runtime = "cri-o"
	uses := func() bool {
		mustStep(t, m, "runtime-configuration")
		return strings.Contains(m.text(t, "/etc/containers/storage.conf"), store)
	}
	if uses() {
		t.Error("uses a store that is not there")
	}
	put(t, m.Root, store+"/overlay-images/images.json", "[]")
	if !uses() {
		t.Error("does not use the image's store")
	}
	kernel.fsType = unix.FUSE_SUPER_MAGIC
	if uses() {
		t.Error("layers on FUSE are used in place")
	}
}

func TestHugetlb(t *testing.T) {
	for _, tc := range []struct {
		file, text string
		want       bool
	}{
		{"/nothing", "", false},
		{"/sys/fs/cgroup/hugetlb/x", "", false}, // a folder, but not mounted
		{"/sys/fs/cgroup/hugetlb/cgroup.procs", "", true},
		{"/sys/fs/cgroup/cgroup.controllers", "cpu memory", false},
		{"/sys/fs/cgroup/cgroup.controllers", "cpu hugetlb memory", true},
	} {
		m, _ := newMachine(t, map[string]string{tc.file: tc.text})
		if got := m.hasHugetlb(); got != tc.want {
			t.Errorf("%s %q: %t", tc.file, tc.text, got)
		}
	}
}
