package boot

import (
	"encoding/json"
	"os"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/nodespec"
)

func TestMachineID(t *testing.T) {
	m, _ := newMachine(t, map[string]string{"/etc/machine-id": "0123456789abcdef0123456789abcdef\n"})
	mustStep(t, m, "machine-id")
	first := m.text(t, "/etc/machine-id")
	if !regexp.MustCompile(`^[0-9a-f]{32}\n$`).MatchString(first) || first == "0123456789abcdef0123456789abcdef\n" {
		t.Errorf("machine-id %q", first)
	}
	mustStep(t, m, "machine-id")
	if again := m.text(t, "/etc/machine-id"); again != first {
		t.Error("it changed at a restart")
	}
	other, _ := newMachine(t, nil)
	mustStep(t, other, "machine-id")
	if other.text(t, "/etc/machine-id") == first {
		t.Error("two nodes have one machine-id")
	}
}

// dmi is a machine that shows its DMI, with the link of a real sysfs.
func dmi(t *testing.T, root string) {
	t.Helper()
	put(t, root, "/sys/devices/virtual/dmi/id/product_uuid", "host\n")
	put(t, root, "/sys/devices/virtual/dmi/id/product_name", "host\n")
	if err := os.MkdirAll(root+"/sys/class/dmi", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../../devices/virtual/dmi/id", root+"/sys/class/dmi/id"); err != nil {
		t.Fatal(err)
	}
}

func TestProductFiles(t *testing.T) {
	m, kernel := newMachine(t, nil)
	mustStep(t, m, "product-files")
	wantCalls(t, kernel) // nothing to hide here
	dmi(t, m.Root)
	mustStep(t, m, "product-files")
	uuid := m.text(t, productUUIDFile)
	if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\n$`).MatchString(uuid) {
		t.Errorf("UUID %q", uuid)
	}
	// The two paths of the UUID are one file: it is hidden once.
	if len(kernel.calls) != 4 {
		t.Errorf("calls %q", kernel.calls)
	}
	mustStep(t, m, "product-files")
	if len(kernel.calls) != 4 || m.text(t, productUUIDFile) != uuid {
		t.Errorf("not the same at a restart: %q", kernel.calls)
	}
}

func TestHideProductInContainer(t *testing.T) {
	m, kernel := newMachine(t, map[string]string{productUUIDFile: "u\n", productNameFile: "kluster\n"})
	dmi(t, m.path("/bundle/rootfs"))
	if err := HideProductIn(m, "/bundle/rootfs"); err != nil {
		t.Fatal(err)
	}
	if got := m.text(t, "/bundle/rootfs/product_uuid"); got != "u\n" {
		t.Errorf("the container's copy is %q", got)
	}
	const id = "/bundle/rootfs/sys/devices/virtual/dmi/id/"
	var binds []string
	for _, name := range []string{"product_name", "product_uuid"} {
		binds = append(binds, "mount -o bind /bundle/rootfs/"+name+" "+id+name, "mount -o remount,bind,ro "+id+name)
	}
	seen := map[string]bool{}
	for _, c := range kernel.calls {
		seen[c] = true
	}
	for _, b := range binds {
		if !seen[b] {
			t.Errorf("no %q in %q", b, kernel.calls)
		}
	}
}

func TestBaseSpecHasTheHook(t *testing.T) {
	m, kernel := newMachine(t, nil)
	if path, err := m.baseSpec(t.Context(), nil); err != nil || path != "" {
		t.Errorf("without a command: %q, %v", path, err)
	}
	if m.showsProduct() {
		t.Error("a machine without DMI shows product files")
	}
	dmi(t, m.Root)
	if !m.showsProduct() {
		t.Error("a machine with DMI shows no product files")
	}
	kernel.outputs["ctr oci spec"] = `{"ociVersion":"1.2.0","process":{"args":["sh"]}}`
	path, err := m.baseSpec(t.Context(), []string{"ctr", "oci", "spec"})
	if err != nil {
		t.Fatal(err)
	}
	var spec struct {
		OCIVersion string `json:"ociVersion"`
		Hooks      map[string][]hook
	}
	if err := json.Unmarshal([]byte(m.text(t, path)), &spec); err != nil {
		t.Fatal(err)
	}
	want := []hook{{"/usr/local/bin/kluster-node", []string{"kluster-node", "hide-product"}}}
	if diff := cmp.Diff(want, spec.Hooks["createContainer"]); diff != "" || spec.OCIVersion != "1.2.0" {
		t.Error(diff, spec.OCIVersion)
	}
}

func TestKmsg(t *testing.T) {
	m, _ := newMachine(t, map[string]string{"/dev/console": ""})
	for range 2 {
		mustStep(t, m, "kernel-log")
	}
	if link, err := os.Readlink(m.path("/dev/kmsg")); err != nil || link != "console" {
		t.Errorf("%q, %v", link, err)
	}
}

func TestMountPrograms(t *testing.T) {
	m, _ := newMachine(t, map[string]string{"/usr/bin/mount": "", "/usr/bin/umount": ""})
	if os.Getuid() != 0 {
		t.Skip("only root may give a file away")
	}
	path := m.path("/usr/bin/mount")
	if err := os.Chown(path, 1000, 1000); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	mustStep(t, m, "mount-setuid")
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o755 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestSharedMounts(t *testing.T) {
	m, kernel := newMachine(t, nil)
	mustStep(t, m, "shared-mounts")
	wantCalls(t, kernel, "mount -o shared,rec")
	kernel.calls = nil
	put(t, m.Root, "/proc/self/mountinfo", "10 1 0:1 / / rw - ext4 x rw\n11 10 0:1 / /var/lib/kubelet rw shared:5 - ext4 x rw\n")
	mustStep(t, m, "shared-mounts")
	wantCalls(t, kernel, "mount -o private /var/lib/kubelet", "mount -o shared,rec")
}

func TestUserNamespace(t *testing.T) {
	const rootless = "0 1000 1\n1 100000 65536\n"
	for _, tc := range []struct {
		name, uidMap, controllers string
		fails                     bool
	}{
		{"host", "0 0 4294967295", "", false},
		{"delegated", rootless, "cpu memory pids io", false},
		{"cgroup v1", rootless, "", false},
		{"no pids", rootless, "cpu memory", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			files := map[string]string{"/proc/self/uid_map": tc.uidMap}
			if tc.controllers != "" {
				files["/sys/fs/cgroup/cgroup.controllers"] = tc.controllers
			}
			m, kernel := newMachine(t, files)
			kernel.files = 1024
			if err := step(t, m, "user-namespace"); (err != nil) != tc.fails {
				t.Error(err)
			}
		})
	}
}

func TestRestricted(t *testing.T) {
	const full, lacking = "CapBnd:\t000001ffffffffff\n", "CapBnd:\t0000003ffeffffff\n"
	for _, tc := range []struct {
		name, status, uidMap string
		missing              []string
		want                 bool
	}{
		{"full", full, "0 0 4294967295", nil, false},
		{"lacks the capability", lacking, "0 0 4294967295", nil, true},
		{"told so", full, "0 0 4294967295", []string{"CAP_SYS_RESOURCE"}, true},
		{"lacks another", full, "0 0 4294967295", []string{"CAP_BPF"}, false},
		{"user namespace", full, "0 1000 1", nil, true},
	} {
		m, _ := newMachine(t, map[string]string{"/proc/self/status": tc.status, "/proc/self/uid_map": tc.uidMap})
		m.Node.MissingCaps = tc.missing
		if got := m.restricted(); got != tc.want {
			t.Errorf("%s: got %v", tc.name, got)
		}
	}
}

func TestLacksCapabilities(t *testing.T) {
	for _, tc := range []struct {
		bounding, last string
		want           bool
	}{
		{"000001ffffffffff", "40\n", false},
		{"000001fffdffffff", "40\n", true}, // SYS_TIME
		{"0000003fffffffff", "37\n", false},
		{"0000003fffffffff", "40\n", true},
		{"0000003fffffffff", "", false}, // not to be told
	} {
		m, _ := newMachine(t, map[string]string{"/proc/self/status": "CapBnd:\t" + tc.bounding + "\n", "/proc/sys/kernel/cap_last_cap": tc.last})
		if got := m.lacksCapabilities(); got != tc.want {
			t.Errorf("%s of %q: got %v", tc.bounding, tc.last, got)
		}
	}
}

func TestBootedMarkGoesAtEveryStart(t *testing.T) {
	m, _ := newMachine(t, map[string]string{nodespec.BootedFile: ""})
	mustStep(t, m, "booted-mark")
	if _, err := os.Stat(m.path(nodespec.BootedFile)); !os.IsNotExist(err) {
		t.Errorf("the mark is still there: %v", err)
	}
	mustStep(t, m, "booted-mark")
}
