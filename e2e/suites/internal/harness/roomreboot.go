package harness

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// Reboot does to the room what a reboot does to a machine that hangs: everything that runs
// is killed at once, the engine, its containerd and shims and all containers, and with it
// go the mounts, the network interfaces and rules, cgroups and what is kept in memory. The
// room is then opened again, and its engine does not run.
func (r *Room) Reboot(ctx context.Context) {
	ginkgo.GinkgoHelper()
	r.reboot(ctx, func() {}, func() {})
}

// PowerCut is Reboot when the power fails: what was written to the engine's disk, which
// must be one of its own, and not yet synced is lost.
func (r *Room) PowerCut(ctx context.Context) {
	ginkgo.GinkgoHelper()
	gomega.Expect(r.disk).NotTo(gomega.BeEmpty(), "a room with a disk of its own")
	cut := func() { gomega.Expect(shutdown(r.Path("data"))).To(gomega.Succeed()) }
	r.reboot(ctx, cut, func() {
		// The kernel takes the mounts of the room apart after its processes have gone.
		gomega.Eventually(ctx, func() error { return unix.Unmount(r.Path("data"), 0) }).
			WithTimeout(endTime).Should(gomega.Succeed())
		r.mount(ctx)
	})
}

// reboot does something before all is killed, and something while nothing runs.
func (r *Room) reboot(ctx context.Context, before, meanwhile func()) {
	ginkgo.GinkgoHelper()
	list, err := r.API.ContainerList(ctx, container.ListOptions{All: true})
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	before()
	r.end()
	meanwhile()
	for _, name := range inMemory {
		gomega.Expect(os.RemoveAll(r.Path(name))).To(gomega.Succeed())
	}
	for _, c := range list {
		removeCgroups(ctx, c.ID)
	}
	r.open(ctx)
}

// inMemory is what the engine keeps below /run on a machine.
var inMemory = []string{"exec", "pid", "sock"}

// cgroupRoot is where this machine's cgroups are.
const cgroupRoot = "/sys/fs/cgroup"

// removeCgroups removes those of a container, whose processes have ended.
func removeCgroups(ctx context.Context, id string) {
	ginkgo.GinkgoHelper()
	gomega.Eventually(ctx, func() error {
		var found []string
		err := filepath.WalkDir(cgroupRoot, func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // somebody else's, that has just gone
			}
			if err == nil && d.IsDir() && strings.Contains(path, id) {
				found = append(found, path)
			}
			return err
		})
		for _, path := range slices.Backward(found) { // those inside first
			err = errors.Join(err, os.Remove(path))
		}
		return err
	}).WithTimeout(10*time.Second).Should(gomega.Succeed(), "the cgroups of a container that was killed")
}

// ext4Shutdown asks ext4, and XFS, to go down as it is; see ioctl_ext4(2).
const ext4Shutdown = 0x8004587d

// noLogFlush has it keep nothing of what is not on the disk yet.
const noLogFlush = 2

// shutdown stops a file system as a power cut does: what is not on the disk is lost.
func shutdown(dir string) (err error) {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return unix.IoctlSetPointerInt(int(f.Fd()), ext4Shutdown, noLogFlush)
}

// Sync writes to the engine's disk what the kernel would within half a minute.
func (r *Room) Sync() {
	ginkgo.GinkgoHelper()
	f, err := os.Open(r.Path("data"))
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	defer f.Close()
	gomega.Expect(unix.Syncfs(int(f.Fd()))).To(gomega.Succeed())
}
