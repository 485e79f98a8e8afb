package boot

import (
	"context"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/nodespec"
)

const cgroupDir = "/sys/fs/cgroup"

// makeCgroupsWritable remounts /sys/fs/cgroup and all below it read-write,
// with /sys writable meanwhile. /sys ends read-only, which is how systemd
// knows that devices are not its business in a container.
func makeCgroupsWritable(_ context.Context, m *Machine) error {
	mounts, err := m.mounts()
	if err != nil {
		return err
	}
	if err := m.remountSys(mounts, false); err != nil {
		return err
	}
	for _, mp := range mounts {
		if !mp.below(cgroupDir) || mp.flags()&unix.MS_RDONLY == 0 {
			continue
		}
		flags := unix.MS_REMOUNT | unix.MS_BIND | mp.flags()&^unix.MS_RDONLY
		if err := m.Kernel.Mount("", m.path(mp.Target), "", flags, ""); err != nil {
			return err
		}
	}
	return m.remountSys(mounts, true)
}

// remountSys makes /sys read-only or writable. A user namespace may do
// neither, and need not.
func (m *Machine) remountSys(mounts []mountPoint, readOnly bool) error {
	for _, mp := range mounts {
		if mp.Target != "/sys" {
			continue
		}
		flags := unix.MS_REMOUNT | mp.flags()&^unix.MS_RDONLY
		if readOnly {
			flags |= unix.MS_RDONLY
		}
		if err := m.Kernel.Mount("", m.path("/sys"), "", flags, ""); err != nil && !m.inUserNamespace() {
			return err
		}
	}
	return nil
}

// aufsMagic is the file system type of aufs.
const aufsMagic = 0x61756673

// fixMountPrograms makes mount and umount root's own and takes their setuid
// bits. On aufs a changed program is "text file busy" until a sync.
func fixMountPrograms(_ context.Context, m *Machine) error {
	for _, program := range []string{"/usr/bin/mount", "/usr/bin/umount"} {
		path := m.path(program)
		info, err := os.Stat(path)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("looking at %s: %w", program, err)
		}
		if err := os.Chown(path, 0, 0); err != nil {
			return fmt.Errorf("taking ownership of %s: %w", program, err)
		}
		if err := os.Chmod(path, info.Mode().Perm()); err != nil {
			return fmt.Errorf("clearing the setuid bit of %s: %w", program, err)
		}
		if kind, err := m.Kernel.FilesystemType(path); err == nil && kind == aufsMagic {
			unix.Sync()
		}
	}
	return nil
}

// shareMounts shares all mounts among those of the node. Its volumes are cut off
// from the host first: where a mount of the node is to send its changes to the
// host, an engine lets the volumes do the same, and what pods mount in them would
// stay there for good and keep the volumes from being removed.
func shareMounts(_ context.Context, m *Machine) error {
	mounts, err := m.mounts()
	if err != nil {
		return err
	}
	for _, volume := range slices.Concat(nodespec.Volumes, cri.Volumes(cri.Names()...)) {
		if !mounted(mounts, volume) {
			continue
		}
		if err := m.Kernel.Mount("", m.path(volume), "", unix.MS_PRIVATE, ""); err != nil {
			return fmt.Errorf("cutting %s off from the host: %w", volume, err)
		}
	}
	return m.Kernel.Mount("", m.path("/"), "", unix.MS_SHARED|unix.MS_REC, "")
}

// bind mounts source on target, once.
func (m *Machine) bind(source, target string, readOnly bool) error {
	mounts, err := m.mounts()
	if err != nil {
		return err
	}
	if mounted(mounts, target) {
		return nil
	}
	if err := m.Kernel.Mount(m.path(source), m.path(target), "", unix.MS_BIND, ""); err != nil || !readOnly {
		return err
	}
	return m.Kernel.Mount("", m.path(target), "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "")
}
