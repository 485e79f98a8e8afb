// Package store gives a new node the container images that its node image
// holds, without copying them: the runtime's databases are copied, and the
// layers and blobs they speak of become links into the image, which is
// read-only and shared by all nodes of a host.
//
// A linked layer may be the lower layer of a container, and the runtime
// removes it by removing the link, so garbage collection works as ever.
package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// What containerd keeps, relative to its state folder.
const (
	metadata  = "io.containerd.metadata.v1.bolt/meta.db"
	overlay   = "io.containerd.snapshotter.v1.overlayfs"
	snapshots = overlay + "/snapshots"
	snapshotd = overlay + "/metadata.db"
	blobs     = "io.containerd.content.v1.content/blobs/sha256"
)

// Link fills containerd's state folder dst from the preloaded store src. It
// does nothing when there is no such store or dst has a state already. The
// database that makes the rest exist for containerd comes last and by rename,
// so a Link that was cut short is done again from wherever it got to.
//
// It must not run while containerd does.
func Link(src, dst string) error {
	have, err := exists(filepath.Join(dst, metadata))
	if err != nil || have {
		return err
	}
	preloaded, err := exists(filepath.Join(src, metadata))
	if err != nil || !preloaded {
		return err
	}
	for _, dir := range []string{snapshots, blobs} {
		if err := linkEntries(filepath.Join(src, dir), filepath.Join(dst, dir)); err != nil {
			return fmt.Errorf("linking preloaded images: %w", err)
		}
	}
	for _, file := range []string{snapshotd, metadata} {
		if err := copyFile(filepath.Join(src, file), filepath.Join(dst, file)); err != nil {
			return fmt.Errorf("copying the database of preloaded images: %w", err)
		}
	}
	return nil
}

func exists(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// linkEntries puts a link to each entry of src into dst. An entry that is
// there already is of an earlier try.
func linkEntries(src, dst string) error {
	entries, err := os.ReadDir(src)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dst, 0o700); err != nil {
		return err
	}
	for _, entry := range entries {
		err := os.Symlink(filepath.Join(src, entry.Name()), filepath.Join(dst, entry.Name()))
		if err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}

// copyFile puts a copy in place that is whole even after a loss of power.
func copyFile(src, dst string) error {
	in, err := os.Open(src)
	if errors.Is(err, os.ErrNotExist) {
		return nil // a store without layers has no database of them
	}
	if err != nil {
		return err
	}
	defer in.Close()
	if err := os.MkdirAll(filepath.Dir(dst), 0o700); err != nil {
		return err
	}
	temp := dst + ".new"
	if err := writeSynced(temp, in); err != nil {
		return err
	}
	if err := os.Rename(temp, dst); err != nil {
		return err
	}
	return syncDir(filepath.Dir(dst))
}

func writeSynced(path string, in io.Reader) (err error) {
	out, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Sync()
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
