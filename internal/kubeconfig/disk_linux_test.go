package kubeconfig

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kluster-project/kluster/internal/failure"
)

// mountsVariable says that this test program may mount what it likes.
const mountsVariable = "KLUSTER_TEST_MOUNTS"

// inMountNamespace runs the test again in a mount namespace of its own, as root there,
// and says whether this is that run.
func inMountNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv(mountsVariable) != "" {
		return true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), mountsVariable+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		own := func(id int) []syscall.SysProcIDMap { return []syscall.SysProcIDMap{{HostID: id, Size: 1}} }
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings, cmd.SysProcAttr.GidMappings = own(os.Getuid()), own(os.Getgid())
	}
	out, err := cmd.CombinedOutput()
	if failed := new(exec.ExitError); err != nil && !errors.As(err, &failed) {
		t.Skipf("this user may not have a mount namespace: %v", err)
	}
	if err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
	return false
}

// smallDisk is a folder with a disk of its own, of 64 KiB, with a kubeconfig on it.
func smallDisk(t *testing.T) (path string) {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	path = filepath.Join(dir, "config")
	if err := os.WriteFile(path, []byte(theirs), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFullDisk(t *testing.T) {
	if !inMountNamespace(t) {
		return
	}
	path := smallDisk(t)
	rest := filepath.Join(filepath.Dir(path), "rest")
	if err := os.WriteFile(rest, make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	_, err := Merge(t.Context(), path, rendered(t, "kluster-a"))
	var said strings.Builder
	failure.Print(&said, err)
	if !errors.Is(err, syscall.ENOSPC) || failure.Code(err) != failure.CodeHost || !strings.Contains(said.String(), "bytes must be free in "+filepath.Dir(path)) {
		t.Errorf("exit code %d and %q", failure.Code(err), said.String())
	}
	if got := string(readFile(t, path)); got != theirs {
		t.Errorf("the file is now %q", got)
	}
	if err := os.Remove(rest); err != nil {
		t.Fatal(err)
	}
	checkTidy(t, path)
	mergeInto(t, path, "kluster-a")
}

func TestReadOnlyDisk(t *testing.T) {
	if !inMountNamespace(t) {
		return
	}
	path := smallDisk(t)
	mergeInto(t, path, "kluster-a")
	before := string(readFile(t, path))
	if err := unix.Mount("", filepath.Dir(path), "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	_, merging := Merge(t.Context(), path, rendered(t, "kluster-b"))
	_, removing := Remove(t.Context(), path, "kluster-a", nil)
	for what, err := range map[string]error{"checking": Check(path, "kluster-b"), "merging": merging, "removing": removing} {
		if !errors.Is(err, syscall.EROFS) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got error %v, want one that names the file and says why", what, err)
		}
	}
	if got := string(readFile(t, path)); got != before {
		t.Errorf("the file is now %q", got)
	}
	checkTidy(t, path)
}
