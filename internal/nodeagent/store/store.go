// Package store gives a new node the container images that its node image
// holds, without copying them: the runtime's databases are copied, and the
// layers and blobs they speak of become links into the image, which is
// read-only and shared by all nodes of a host.
//
// A linked layer may be the lower layer of a container, and the runtime
// removes it by removing the link, so garbage collection works as ever.
//
// Layers on a FUSE file system (an engine whose storage driver is
// fuse-overlayfs) must not be linked. When a container first writes to a folder,
// the kernel's overlayfs holds the lock for renames of the file system that the
// container's own layer is on, and looks at the linked folder; the FUSE daemon
// that has to answer may at that moment be waiting for the same lock, to rename
// something on the same file system. Nothing ends that, and all renames on the
// host wait behind it. Such layers are copied.
package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/nodespec"
)

// Dir is where a node image keeps the preloaded images of a runtime.
func Dir(runtime cri.Runtime) string { return filepath.Join(nodespec.StoreDir, runtime.Name) }

// Link fills a runtime's state folder dst from the preloaded store src. It
// does nothing when there is no such store or dst has a state already. The
// part that makes the rest exist for the runtime comes last and by rename,
// so a Link that was cut short is done again from wherever it got to.
//
// It must not run while the runtime does.
func Link(ctx context.Context, form cri.Store, src, dst string, log *slog.Logger) error {
	fuse, err := onFUSE(src)
	if err != nil {
		return err
	}
	if !fuse && form.InPlace {
		return nil
	}
	s := filler{form: form, src: src, dst: dst, layers: linkEntries}
	if form.Inner != "" {
		s.layers = func(src, dst string, skip func(string) bool) error { return linkInner(src, dst, form.Inner, skip) }
	}
	if fuse {
		log.Warn("preloaded images lie on a FUSE file system; copying their layers", "store", src)
		s.layers = func(src, dst string, _ func(string) bool) error { return copyTree(ctx, src, dst) }
	}
	return s.fill(ctx)
}

// mark is a file in a state folder that was filled from a store. One without it may
// be of another runtime that keeps its state there too.
const mark = ".kluster-store"

// Reclaim readies a state folder for Link where only other runtimes have used it so
// far: what they keep in the place of the store's parts goes. They must not run, nor
// have containers that are still wanted.
func Reclaim(form cri.Store, src, dst string) error {
	for path, want := range map[string]bool{filepath.Join(dst, mark): false, src: true} {
		if have, err := exists(path); err != nil || have != want {
			return err
		}
	}
	for _, part := range form.Parts {
		if err := os.RemoveAll(filepath.Join(dst, part)); err != nil {
			return fmt.Errorf("removing what another runtime left: %w", err)
		}
	}
	return nil
}

// filler fills a state folder.
type filler struct {
	form     cri.Store
	src, dst string
	// layers brings over the entries of the folder of layers, but those to skip.
	layers func(src, dst string, skip func(name string) bool) error
}

func (s *filler) fill(ctx context.Context) error {
	last := s.form.Copied[len(s.form.Copied)-1]
	have, err := exists(filepath.Join(s.dst, last))
	if err != nil || have {
		return err
	}
	preloaded, err := exists(filepath.Join(s.src, last))
	if err != nil || !preloaded {
		return err
	}
	if err := s.bring(s.form.Layers, s.layers); err != nil {
		return fmt.Errorf("bringing over the layers of preloaded images: %w", err)
	}
	if err := s.bring(s.form.Blobs, linkEntries); err != nil {
		return fmt.Errorf("linking preloaded images: %w", err)
	}
	for _, name := range s.form.Copied {
		if err := s.copied(ctx, name); err != nil {
			return fmt.Errorf("copying the database of preloaded images: %w", err)
		}
	}
	if err := os.WriteFile(filepath.Join(s.dst, mark), nil, 0o644); err != nil {
		return fmt.Errorf("marking the folder as filled: %w", err)
	}
	return nil
}

// bring brings over a folder's entries, less those that are copied by themselves.
func (s *filler) bring(folder string, by func(src, dst string, skip func(name string) bool) error) error {
	if folder == "" {
		return nil
	}
	skip := func(name string) bool { return slices.Contains(s.form.Copied, filepath.Join(folder, name)) }
	return by(filepath.Join(s.src, folder), filepath.Join(s.dst, folder), skip)
}

// copied copies a file or a folder; a store may lack it.
func (s *filler) copied(ctx context.Context, name string) error {
	src, dst := filepath.Join(s.src, name), filepath.Join(s.dst, name)
	info, err := os.Stat(src)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.IsDir() {
		return copyTree(ctx, src, dst)
	}
	return copyFile(src, dst)
}

func exists(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// copyTree copies a folder with all owners, modes, links and attributes. The
// copy appears as a whole; one that was cut short is thrown away.
func copyTree(ctx context.Context, src, dst string) error {
	for _, path := range []string{src, dst} {
		if have, err := exists(path); err != nil || have == (path == dst) {
			return err
		}
	}
	temp := dst + ".new"
	if err := os.RemoveAll(temp); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dst), 0o700); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, "cp", "-a", src, temp).CombinedOutput(); err != nil {
		return fmt.Errorf("copying %s: %w: %s", src, err, strings.TrimSpace(string(out)))
	}
	return os.Rename(temp, dst)
}

// onFUSE says whether path, if it exists, is on a FUSE file system.
func onFUSE(path string) (bool, error) {
	var st unix.Statfs_t
	err := unix.Statfs(path, &st)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("asking for the file system of %s: %w", path, err)
	}
	return st.Type == unix.FUSE_SUPER_MAGIC, nil
}

// linkEntries puts a link to each entry of src, but those to skip, into dst. An entry
// that is there already is of an earlier try.
func linkEntries(src, dst string, skip func(name string) bool) error {
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
		if skip(entry.Name()) {
			continue
		}
		err := os.Symlink(filepath.Join(src, entry.Name()), filepath.Join(dst, entry.Name()))
		if err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}

// linkInner makes a folder in dst for each of src, but those to skip, with copies of its
// files and a link to the folder inner in it.
func linkInner(src, dst, inner string, skip func(name string) bool) error {
	layers, err := os.ReadDir(src)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, layer := range layers {
		if skip(layer.Name()) {
			continue
		}
		if err := linkLayer(filepath.Join(src, layer.Name()), filepath.Join(dst, layer.Name()), inner); err != nil {
			return err
		}
	}
	return nil
}

func linkLayer(src, dst, inner string) error {
	entries, err := os.ReadDir(src)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dst, 0o710); err != nil {
		return err
	}
	for _, e := range entries {
		from, to := filepath.Join(src, e.Name()), filepath.Join(dst, e.Name())
		switch {
		case e.Name() == inner:
			if err := os.Symlink(from, to); err != nil && !errors.Is(err, os.ErrExist) {
				return err
			}
		case e.IsDir():
			if err := os.MkdirAll(to, 0o700); err != nil {
				return err
			}
		default:
			if err := copySmall(from, to); err != nil {
				return err
			}
		}
	}
	return nil
}

// copySmall copies a file that need not survive a loss of power: what makes it count
// comes later.
func copySmall(src, dst string) error {
	text, err := os.ReadFile(src)
	if err != nil {
		return err
	}
	return os.WriteFile(dst, text, 0o644)
}

// copyFile puts a copy in place that is whole even after a loss of power.
func copyFile(src, dst string) error {
	in, err := os.Open(src)
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
