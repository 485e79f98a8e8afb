package etcddisk

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// A node's /dev has no loop devices. They are the machine's, all of them, and one is free
// again when nothing uses it: also when the node is killed.

const (
	loopControl      = "/dev/loop-control"
	loopControlMinor = 237
	miscMajor        = 10
	loopMajor        = 7
	// loopTries is how often another one may be quicker to take a device that was free.
	loopTries = 20
)

// checkLoop sees that there are loop devices.
func checkLoop() error {
	_, err := freeLoop()
	return err
}

// freeLoop names a loop device that nothing uses at this moment.
func freeLoop() (string, error) {
	if err := makeDevice(loopControl, unix.S_IFCHR, miscMajor, loopControlMinor); err != nil {
		return "", err
	}
	control, err := os.OpenFile(loopControl, os.O_RDWR, 0)
	if err != nil {
		return "", fmt.Errorf("the node gets no loop devices (CONFIG_BLK_DEV_LOOP): %w", err)
	}
	defer control.Close()
	n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
	if err != nil {
		return "", fmt.Errorf("asking for a loop device: %w", err)
	}
	path := fmt.Sprintf("/dev/loop%d", n)
	return path, makeDevice(path, unix.S_IFBLK, loopMajor, uint32(n))
}

func makeDevice(path string, kind, major, minor uint32) error {
	err := unix.Mknod(path, kind|0o600, int(unix.Mkdev(major, minor)))
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("making %s: %w", path, err)
	}
	return nil
}

// attach mounts an image.
func attach(image, target string) error {
	if err := os.MkdirAll(target, 0o700); err != nil {
		return fmt.Errorf("making a mount point: %w", err)
	}
	file, err := os.OpenFile(image, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("opening the image: %w", err)
	}
	defer file.Close()
	for range loopTries {
		busy, err := attachOnce(file, target)
		if !busy {
			return err
		}
	}
	return errors.New("no loop device stays free")
}

func attachOnce(image *os.File, target string) (busy bool, err error) {
	path, err := freeLoop()
	if err != nil {
		return false, err
	}
	loop, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return false, fmt.Errorf("opening a loop device: %w", err)
	}
	// With AUTOCLEAR the device is free again when it is neither open nor mounted.
	defer loop.Close()
	config := &unix.LoopConfig{Fd: uint32(image.Fd())}
	config.Info.Flags = unix.LO_FLAGS_AUTOCLEAR
	if err := unix.IoctlLoopConfigure(int(loop.Fd()), config); err != nil {
		return errors.Is(err, unix.EBUSY), fmt.Errorf("setting up a loop device: %w", err)
	}
	if err := unix.Mount(path, target, "ext4", unix.MS_NOATIME, ""); err != nil {
		return false, fmt.Errorf("mounting the image: %w", err)
	}
	return false, nil
}
