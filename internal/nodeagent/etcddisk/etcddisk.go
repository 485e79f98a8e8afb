// Package etcddisk gives etcd's data a small file system of its own for a while, which
// can be filled without filling the host's disk: a file in etcd's volume, mounted over it.
//
// A member of etcd that comes back with older data than it had has forgotten whom it
// voted for and what it has acknowledged. So at any moment, whatever is killed, one place
// holds the data and no other counts. Names in Dir say which, and change in one rename:
//
//	new image            the volume; the image is being filled
//	image                the image; what the volume has of a member is left from before
//	old image            the volume again: its member, or the one that is being renamed
//
// etcd must not run while its data moves. A boot takes it back before anything starts.
package etcddisk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kluster-project/kluster/internal/wait"
)

const (
	// DataDir is etcd's, a volume of the node, and member what etcd has in it.
	DataDir = "/var/lib/etcd"
	member  = "member"
	// Dir is in the volume; it is there while the data is, or was, elsewhere.
	Dir = ".kluster"
	// Names in Dir.
	newImage, image, oldImage = "new-image", "image", "old-image"
	newMember                 = "new-member"

	// volume is where the volume is seen while the image is mounted over it, and side
	// where the image is mounted when it is not in use.
	volume = "/run/kluster/etcd-volume"
	side   = "/run/kluster/etcd-image"
	// Filler takes up all space of the image.
	Filler = "kluster-filler"
)

const (
	// room is how much larger than the data the image is: etcd makes the next segment of
	// its log (64 MiB) when it starts. What is not written costs the host nothing.
	room = 256 << 20
	// HostReserve is what the volume's own file system must have left.
	HostReserve = 2 << 30
)

// Disk is etcd's on a node.
type Disk struct {
	// Root is put before every path: "" on a node.
	Root string
	// Output runs a command with stdin and gives its standard output.
	Output func(ctx context.Context, stdin, name string, args ...string) (string, error)
}

func (d Disk) path(elements ...string) string {
	return filepath.Join("/", d.Root, filepath.Join(elements...))
}

// volume is where etcd's volume is seen, whatever is mounted over it.
func (d Disk) volume() string {
	if isMountPoint(d.path(volume)) {
		return d.path(volume)
	}
	return d.path(DataDir)
}

func (d Disk) in(name string) string { return filepath.Join(d.volume(), Dir, name) }

// Given says whether something is to be taken back.
func (d Disk) Given() bool {
	return exists(filepath.Join(d.volume(), Dir)) || isMountPoint(d.path(volume))
}

// covered says whether the image is mounted over the volume.
func (d Disk) covered() bool {
	return isMountPoint(d.path(volume)) && device(d.path(volume)) != device(d.path(DataDir))
}

// Check sees that data can be given a file system, without changing anything.
func (d Disk) Check() error {
	size, err := treeSize(d.path(DataDir, member))
	if err != nil {
		return fmt.Errorf("etcd has no data in %s: %w", DataDir, err)
	}
	var host unix.Statfs_t
	if err := unix.Statfs(d.path(DataDir), &host); err != nil {
		return fmt.Errorf("looking at the disk of %s: %w", DataDir, err)
	}
	if free := int64(host.Bavail) * host.Bsize; free < 2*size+HostReserve {
		return fmt.Errorf("the host's disk has %d MiB left, and less than %d MiB are too few", free>>20, (2*size+HostReserve)>>20)
	}
	return checkLoop()
}

// Give moves the data into an image and mounts that over the volume. still is asked just
// before the image counts, and says whether etcd is still stopped. After an error, or
// when it is cut short, TakeBack makes all as it was.
func (d Disk) Give(ctx context.Context, still func() error) error {
	if d.Given() {
		return errors.New("the data of etcd has a file system of its own already")
	}
	if err := os.Mkdir(d.path(DataDir, Dir), 0o700); err != nil {
		return fmt.Errorf("making a folder for the image: %w", err)
	}
	for _, step := range []func(context.Context) error{
		d.makeImage,
		d.fillImage,
		func(context.Context) error { return still() },
		func(context.Context) error { return rename(d.in(newImage), d.in(image)) },
		d.cover,
		func(context.Context) error { return os.RemoveAll(filepath.Join(d.volume(), member)) },
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (d Disk) makeImage(ctx context.Context) error {
	size, err := treeSize(d.path(DataDir, member))
	if err != nil {
		return fmt.Errorf("measuring the data of etcd: %w", err)
	}
	file, err := os.OpenFile(d.in(newImage), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("making an image: %w", err)
	}
	defer file.Close()
	if err := file.Truncate(size + room); err != nil {
		return fmt.Errorf("making an image: %w", err)
	}
	_, err = d.Output(ctx, "", "mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", d.in(newImage))
	return err
}

// fillImage copies the data and sees that all of it is on the disk.
func (d Disk) fillImage(ctx context.Context) error {
	if err := attach(d.in(newImage), d.path(side)); err != nil {
		return err
	}
	err := d.copy(ctx, d.path(DataDir, member), d.path(side, member))
	if err := errors.Join(err, d.detach(ctx, d.path(side))); err != nil {
		return err
	}
	return syncFile(d.in(newImage))
}

// cover mounts the image over the volume, which stays in sight elsewhere. That must not
// hear of mounts, or it would be covered as well.
func (d Disk) cover(ctx context.Context) error {
	if err := os.MkdirAll(d.path(volume), 0o700); err != nil {
		return fmt.Errorf("making a mount point: %w", err)
	}
	if err := unix.Mount(d.path(DataDir), d.path(volume), "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mounting the volume of etcd a second time: %w", err)
	}
	if err := unix.Mount("", d.path(volume), "", unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("mounting the volume of etcd a second time: %w", err)
	}
	return attach(d.in(image), d.path(DataDir))
}

// TakeBack moves the data back into the volume, however far Give or TakeBack came
// before, in this life of the node or in one before.
func (d Disk) TakeBack(ctx context.Context) error {
	if !d.Given() {
		return nil
	}
	for _, step := range []struct {
		when func() bool
		do   func(context.Context) error
	}{
		{func() bool { return isMountPoint(d.path(side)) }, func(ctx context.Context) error { return d.detach(ctx, d.path(side)) }},
		{func() bool { return exists(d.in(image)) }, d.copyBack},
		{func() bool { return exists(d.in(oldImage)) && exists(d.in(newMember)) }, d.putBack},
		{d.covered, func(ctx context.Context) error { return d.detach(ctx, d.path(DataDir)) }},
		{func() bool { return isMountPoint(d.path(volume)) }, func(ctx context.Context) error { return d.detach(ctx, d.path(volume)) }},
		{func() bool { return true }, func(context.Context) error { return os.RemoveAll(d.path(DataDir, Dir)) }},
	} {
		if !step.when() {
			continue
		}
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("taking back the data of etcd: %w", err)
		}
	}
	return nil
}

// copyBack copies the data out of the image, wherever that is mounted, and then says that
// the image counts no more.
func (d Disk) copyBack(ctx context.Context) error {
	from := d.path(DataDir)
	if !d.covered() {
		from = d.path(side)
		if err := attach(d.in(image), from); err != nil {
			return err
		}
	}
	for _, left := range []string{d.in(newMember), filepath.Join(d.volume(), member)} {
		if err := os.RemoveAll(left); err != nil {
			return err
		}
	}
	err := d.copy(ctx, filepath.Join(from, member), d.in(newMember))
	if from == d.path(side) {
		err = errors.Join(err, d.detach(ctx, from))
	}
	if err != nil {
		return err
	}
	return rename(d.in(image), d.in(oldImage))
}

func (d Disk) putBack(context.Context) error {
	return rename(d.in(newMember), filepath.Join(d.volume(), member))
}

// copy copies a tree, and returns when it is on the disk. What is zero is not written:
// etcd reserves space for it again when it starts.
func (d Disk) copy(ctx context.Context, from, to string) error {
	if _, err := d.Output(ctx, "", "cp", "--archive", "--sparse=always", from, to); err != nil {
		return err
	}
	_, err := d.Output(ctx, "", "sync", "--file-system", to)
	return err
}

// Who has looked into a mount is gone soon after etcd; busyFor is how long that is
// waited for.
const (
	busyFor  = 5 * time.Second
	busyPoll = 50 * time.Millisecond
)

// detach unmounts. One that stays busy is only taken out of sight: nobody writes to it
// any more.
func (d Disk) detach(ctx context.Context, target string) error {
	for end := time.Now().Add(busyFor); time.Now().Before(end); {
		err := unix.Unmount(target, 0)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EBUSY) || !wait.For(ctx, busyPoll) {
			return fmt.Errorf("unmounting %s: %w", target, err)
		}
	}
	if err := unix.Unmount(target, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmounting %s: %w", target, err)
	}
	return nil
}

// rename renames for good: the name is on the disk when it returns.
func rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return fmt.Errorf("renaming: %w", err)
	}
	return errors.Join(syncFile(filepath.Dir(from)), syncFile(filepath.Dir(to)))
}

func syncFile(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("writing %s to the disk: %w", path, err)
	}
	defer file.Close()
	return file.Sync()
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// isMountPoint says whether path lies in another mount than the folder around it.
func isMountPoint(path string) bool {
	own, around := mount(path), mount(filepath.Dir(path))
	return own != 0 && own != around
}

// mount is the number of the mount that path lies in, 0 without one.
func mount(path string) uint64 {
	var st unix.Statx_t
	if unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_MNT_ID, &st) != nil {
		return 0
	}
	return st.Mnt_id
}

func device(path string) uint64 {
	var st unix.Stat_t
	if unix.Lstat(path, &st) != nil {
		return 0
	}
	return st.Dev
}

// treeSize is how long all files of a tree are.
func treeSize(dir string) (int64, error) {
	total := int64(0)
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a segment of the log that got its name meanwhile
		}
		if err == nil {
			total += info.Size()
		}
		return err
	})
	return total, err
}
