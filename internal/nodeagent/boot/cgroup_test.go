package boot

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// dockerV1 is a container of Docker on cgroup v1, not privileged, with a cgroup
// namespace, as its files show it.
var dockerV1 = map[string]string{
	"/proc/self/mountinfo": `69 45 0:39 / / rw,nodev - fuse.fuse-overlayfs fuse-overlayfs rw
73 69 0:44 / /sys ro,nosuid,nodev,noexec,relatime - sysfs sysfs ro
74 73 0:45 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime - tmpfs tmpfs rw,mode=755
75 74 0:29 / /sys/fs/cgroup/cpu ro,nosuid,nodev,noexec,relatime - cgroup cgroup rw,cpu
77 74 0:31 / /sys/fs/cgroup/cpuset ro,nosuid,nodev,noexec,relatime - cgroup cgroup rw,cpuset
83 74 0:37 / /sys/fs/cgroup/systemd ro,nosuid,nodev,noexec,relatime - cgroup systemd rw,name=systemd
`,
	"/sys/fs/cgroup/cpuset/cpuset.cpus": "0-3\n",
	"/sys/fs/cgroup/cpuset/cpuset.mems": "0\n",
	"/sys/fs/cgroup/cpu/cpu.shares":     "1024\n",
	"/sys/fs/cgroup/systemd/tasks":      "",
}

func with(files map[string]string, more ...string) map[string]string {
	all := map[string]string{}
	for k, v := range files {
		all[k] = v
	}
	for i := 0; i < len(more); i += 2 {
		all[more[i]] = more[i+1]
	}
	return all
}

func wantCalls(t *testing.T, kernel *fake, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, kernel.calls); diff != "" {
		t.Error(diff)
	}
}

const options = "nosuid,nodev,noexec,relatime"

func TestCgroupsAreMadeWritable(t *testing.T) {
	m, kernel := newMachine(t, dockerV1)
	mustStep(t, m, "cgroup-mounts-writable")
	wantCalls(t, kernel,
		"mount -o remount,"+options+" /sys",
		"mount -o remount,bind,"+options+" /sys/fs/cgroup/cpu",
		"mount -o remount,bind,"+options+" /sys/fs/cgroup/cpuset",
		"mount -o remount,bind,"+options+" /sys/fs/cgroup/systemd",
		"mount -o remount,ro,"+options+" /sys",
	)
}

func TestCgroupV2IsMadeWritable(t *testing.T) {
	m, kernel := newMachine(t, map[string]string{
		"/proc/self/mountinfo": "1 0 0:1 / /sys rw,nosuid - sysfs sysfs rw\n2 1 0:2 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n",
	})
	mustStep(t, m, "cgroup-mounts-writable")
	wantCalls(t, kernel,
		"mount -o remount,nosuid /sys", "mount -o remount,bind,nosuid /sys/fs/cgroup", "mount -o remount,ro,nosuid /sys")
}

// A user namespace may not remount /sys; elsewhere that is an error.
func TestSysThatCannotBeRemounted(t *testing.T) {
	const table = "73 69 0:44 / /sys ro,nosuid - sysfs sysfs ro\n"
	for _, uidMap := range []string{"0 0 4294967295", "0 1000 1\n1 100000 65536"} {
		m, kernel := newMachine(t, map[string]string{"/proc/self/mountinfo": table, "/proc/self/uid_map": uidMap})
		kernel.broken = "/sys"
		err := step(t, m, "cgroup-mounts-writable")
		if errors.Is(err, errBroken) == m.inUserNamespace() {
			t.Errorf("map %q: %v", uidMap, err)
		}
	}
}

func TestKubeletCgroups(t *testing.T) {
	m, kernel := newMachine(t, dockerV1)
	mustStep(t, m, "cgroup-v1-kubelet")
	want := []string{"mount -o private,rec /sys/fs/cgroup"}
	for _, controller := range []string{"cpu", "cpuset", "systemd"} {
		for _, group := range kubeletCgroups {
			dir := "/sys/fs/cgroup/" + controller + "/" + group
			want = append(want, "mount -o bind "+dir+" "+dir)
		}
	}
	wantCalls(t, kernel, want...)
	for _, group := range kubeletCgroups {
		dir := "/sys/fs/cgroup/cpuset/" + group
		if m.text(t, dir+"/cpuset.cpus") != "0-3\n" || m.text(t, dir+"/cpuset.mems") != "0\n" {
			t.Errorf("%s has no CPUs or memory", group)
		}
		if m.exists("/sys/fs/cgroup/cpu/" + group + "/cpuset.cpus") {
			t.Error("a cpuset file in the cpu controller")
		}
	}
}

// A host without systemd has no such hierarchy; the slice is made all the same.
func TestKubeletSliceWithoutSystemdOnTheHost(t *testing.T) {
	table := strings.Join(strings.SplitAfter(dockerV1["/proc/self/mountinfo"], "\n")[:5], "")
	m, kernel := newMachine(t, with(dockerV1, "/proc/self/mountinfo", table))
	mustStep(t, m, "cgroup-v1-kubelet")
	dir := "/sys/fs/cgroup/systemd/kubelet.slice"
	if last := kernel.calls[len(kernel.calls)-1]; last != "mount -o bind "+dir+" "+dir {
		t.Errorf("last call %q", last)
	}
}

func TestNoControllerAtAll(t *testing.T) {
	m, _ := newMachine(t, nil)
	if err := step(t, m, "cgroup-v1-kubelet"); err == nil {
		t.Error("a node without cgroups is fine?")
	}
}

func TestCgroupV1StepsAreNotForV2(t *testing.T) {
	m, kernel := newMachine(t, map[string]string{"/sys/fs/cgroup/cgroup.controllers": "cpu memory pids"})
	for _, name := range []string{"cgroup-v1-unscoped", "cgroup-v1-misc", "cgroup-v1-unified", "cgroup-v1-kubelet"} {
		mustStep(t, m, name)
	}
	wantCalls(t, kernel)
}

func TestUnifiedIsDropped(t *testing.T) {
	m, kernel := newMachine(t, with(dockerV1, "/proc/self/mountinfo", dockerV1["/proc/self/mountinfo"]+
		"85 74 0:40 / /sys/fs/cgroup/unified ro - cgroup2 cgroup2 rw\n"))
	if err := os.Mkdir(m.path("/sys/fs/cgroup/unified"), 0o755); err != nil {
		t.Fatal(err)
	}
	mustStep(t, m, "cgroup-v1-unified")
	wantCalls(t, kernel, "umount /sys/fs/cgroup/unified")
	if m.exists("/sys/fs/cgroup/unified") {
		t.Error("its folder is still there")
	}
}

func TestMiscIsDropped(t *testing.T) {
	m, kernel := newMachine(t, with(dockerV1,
		"/proc/self/mountinfo", dockerV1["/proc/self/mountinfo"]+"86 74 0:41 / /sys/fs/cgroup/misc ro - cgroup cgroup rw,misc\n",
		"/proc/cgroups", "#subsys_name\thierarchy\ncpu\t1\nmisc\t9\nmiscellany\t10\n"))
	if err := os.Mkdir(m.path("/sys/fs/cgroup/misc"), 0o755); err != nil {
		t.Fatal(err)
	}
	mustStep(t, m, "cgroup-v1-misc")
	wantCalls(t, kernel, "umount /sys/fs/cgroup/misc", "mount -o bind "+fakeCgroups+" /proc/cgroups")
	if got := m.text(t, fakeCgroups); got != "#subsys_name\thierarchy\ncpu\t1\nmiscellany\t10\n" {
		t.Errorf("table is %q", got)
	}
	kernel.calls = nil
	if err := Settle(m); err != nil {
		t.Fatal(err)
	}
	wantCalls(t, kernel, "umount /proc/cgroups")
}

// Without a cgroup namespace, controllers that show the host's root go, and the
// others show the node's cgroup at its own path too.
func TestUnscopedControllers(t *testing.T) {
	table := `75 74 0:29 /docker/abc /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
76 74 0:30 / /sys/fs/cgroup/rdma rw - cgroup cgroup rw,rdma
`
	m, kernel := newMachine(t, map[string]string{
		"/proc/self/mountinfo": table, "/proc/self/cgroup": "4:rdma:/\n1:cpu:/docker/abc\n",
	})
	for _, name := range []string{"cpu", "rdma"} {
		if err := os.MkdirAll(m.path("/sys/fs/cgroup/"+name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mustStep(t, m, "cgroup-v1-unscoped")
	wantCalls(t, kernel, "mount -o bind /sys/fs/cgroup/cpu /sys/fs/cgroup/cpu/docker/abc", "umount /sys/fs/cgroup/rdma")
	if m, _ := newMachine(t, dockerV1); m.sharesCgroupNamespace() {
		t.Error("a cgroup namespace is taken for none")
	}
}

func TestSettleV2(t *testing.T) {
	files := map[string]string{
		"/sys/fs/cgroup/cgroup.controllers":               "cpuset cpu memory hugetlb pids\n",
		"/sys/fs/cgroup/kubelet/cgroup.controllers":       "cpuset cpu memory hugetlb pids\n",
		"/sys/fs/cgroup/kubelet.slice/cgroup.controllers": "cpu\n",
		"/sys/fs/cgroup/cgroup.procs":                     "0\n",
	}
	m, _ := newMachine(t, files)
	if err := Settle(m); err != nil {
		t.Fatal(err)
	}
	for group, want := range map[string]string{"": "+cpuset +cpu +memory +hugetlb +pids", "kubelet": "+cpuset +cpu +memory +hugetlb +pids", "kubelet.slice": "+cpu"} {
		if got := m.text(t, "/sys/fs/cgroup/"+group+"/cgroup.subtree_control"); got != want {
			t.Errorf("%q enables %q, want %q", group, got, want)
		}
	}
	m, _ = newMachine(t, with(files, "/sys/fs/cgroup/cgroup.procs", "1\n"))
	if err := Settle(m); err == nil {
		t.Error("settled while processes were in the root cgroup")
	}
}

func TestMountInfo(t *testing.T) {
	got := parseMountInfo("1 0 0:1 /a\\040b /c\\134d rw,nodev shared:5 master:2 - ext4 /dev/x rw\nnonsense\n")
	want := []mountPoint{{Root: "/a b", Target: `/c\d`, Options: []string{"rw", "nodev"}, FSType: "ext4"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
