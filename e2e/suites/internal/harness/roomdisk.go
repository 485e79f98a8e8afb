package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// addDisk gives the engine's data a disk of so many bytes: a file with a file system.
func (r *Room) addDisk(ctx context.Context, bytes int64) {
	ginkgo.GinkgoHelper()
	r.disk = r.Path("disk")
	gomega.Expect(os.WriteFile(r.disk, nil, 0o600)).To(gomega.Succeed())
	gomega.Expect(os.Truncate(r.disk, bytes)).To(gomega.Succeed())
	run(ctx, "mkfs.ext4", "-q", "-m", "0", r.disk)
	r.mount(ctx)
	ginkgo.DeferCleanup(r.unmount)
}

func (r *Room) mount(ctx context.Context) {
	ginkgo.GinkgoHelper()
	run(ctx, "mount", "-o", "loop", r.disk, r.Path("data"))
}

func (r *Room) unmount(ctx context.Context) {
	ginkgo.GinkgoHelper()
	run(ctx, "umount", r.Path("data"))
}

// run runs one of this machine's programs.
func run(ctx context.Context, args ...string) {
	ginkgo.GinkgoHelper()
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
	gomega.Expect(err).NotTo(gomega.HaveOccurred(), "%s: %s", args, out)
}

// filler is the file that fills the engine's disk.
func (r *Room) filler() string { return filepath.Join(r.Path("data"), "rest") }

// FillData writes to the engine's disk until only so many bytes are free.
func (r *Room) FillData(leave int64) {
	ginkgo.GinkgoHelper()
	f, err := os.Create(r.filler())
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	defer f.Close()
	for fill := r.free() - leave; fill > 0; {
		err := unix.Fallocate(int(f.Fd()), 0, 0, fill)
		if err == nil {
			return
		}
		// Somebody else has written meanwhile.
		gomega.Expect(errors.Is(err, unix.ENOSPC)).To(gomega.BeTrue(), "%v", err)
		fill = min(r.free()-leave, fill-1<<20)
	}
}

// free is what can still be written to the engine's disk.
func (r *Room) free() int64 {
	ginkgo.GinkgoHelper()
	var fs unix.Statfs_t
	gomega.Expect(unix.Statfs(r.Path("data"), &fs)).To(gomega.Succeed())
	return int64(fs.Bavail) * fs.Bsize
}

// EmptyData takes back what FillData has written.
func (r *Room) EmptyData() {
	ginkgo.GinkgoHelper()
	gomega.Expect(os.Remove(r.filler())).To(gomega.Succeed())
}

// SmallDisk is a folder on a disk of so many bytes, in memory.
func SmallDisk(bytes int64) string {
	ginkgo.GinkgoHelper()
	if os.Geteuid() != 0 {
		ginkgo.Skip("a disk of its own needs root")
	}
	dir := ginkgo.GinkgoT().TempDir()
	gomega.Expect(unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes))).To(gomega.Succeed())
	ginkgo.DeferCleanup(func() error { return unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}
