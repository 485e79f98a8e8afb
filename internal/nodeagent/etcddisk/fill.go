package etcddisk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// block is what the image's file system gives out at least.
const block = 4 << 10

// Fill takes up all space that the image has left, so that etcd's next write fails. etcd
// has reserved space for its log beforehand, with which it could go on for long: that is
// taken, too, as if the disk had been full then. etcd must be stopped (SIGSTOP): what it
// has written ends where only zeros follow.
func (d Disk) Fill() error {
	if !d.covered() {
		return errors.New("etcd's data has no file system of its own")
	}
	segments, err := filepath.Glob(d.path(DataDir, member, "wal", "*"))
	if err != nil {
		return err
	}
	for _, segment := range segments {
		if err := release(segment); err != nil {
			return fmt.Errorf("taking what etcd's log has reserved: %w", err)
		}
	}
	return d.fillUp()
}

// release gives back the space of the zeros at the end of a file. What is read from it
// stays the same.
func release(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	end, err := dataEnd(file, size)
	if err != nil || end >= size {
		return err
	}
	return unix.Fallocate(int(file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, end, size-end)
}

// dataEnd is the end of the last block that is not all zeros.
func dataEnd(file io.ReaderAt, size int64) (int64, error) {
	buf := make([]byte, 256*block)
	for at := (size - 1) / int64(len(buf)) * int64(len(buf)); at >= 0; at -= int64(len(buf)) {
		n, err := file.ReadAt(buf, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		for i := n - 1; i >= 0; i-- {
			if buf[i] != 0 {
				return at + int64(i/block+1)*block, nil
			}
		}
	}
	return 0, nil
}

// fillUp reserves what is left, in ever smaller pieces. Nothing is written, so that the
// host's disk gets no fuller.
func (d Disk) fillUp() error {
	file, err := os.OpenFile(d.path(DataDir, Filler), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("filling the disk of etcd: %w", err)
	}
	defer file.Close()
	at := int64(0)
	for piece := int64(room); piece >= block; {
		switch err := unix.Fallocate(int(file.Fd()), 0, at, piece); {
		case err == nil:
			at += piece
		case errors.Is(err, unix.ENOSPC):
			piece /= 2
		default:
			return fmt.Errorf("filling the disk of etcd: %w", err)
		}
	}
	return nil
}
