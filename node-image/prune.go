package nodeimage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// PruneOptions say what goes.
type PruneOptions struct {
	// Unused is how long nothing has used what goes; 0 for everything. What bundles
	// brought stays until then, since it may not be had again.
	Unused time.Duration
	DryRun bool // tells what would go
}

// Pruned is what Prune has removed, or would.
type Pruned struct {
	Outputs []PrunedOutput
	// Bytes are those on the disk that no output that stays shares.
	Bytes int64
}

// PrunedOutput is the output of a step, or what a killed process has left.
type PrunedOutput struct {
	Name  string // "build-kubernetes-0123456789abcdef0123"
	Left  bool   // by a killed process
	Bytes int64  // of its files
}

// errCacheInUse is a Prune while the cache is needed.
var errCacheInUse = errors.New("a build, a create or a run is using the cache; try again when it has ended")

// UseCache keeps Alone away from the cache in dir ("" for the usual one) until
// release is called. Who calls Build needs the cache until the image was read.
func UseCache(ctx context.Context, dir string) (release func(), err error) {
	c, err := openCache(dir)
	if err != nil {
		return nil, err
	}
	return lockFile(ctx, c.inUse(), syscall.LOCK_SH)
}

// inUse is locked by UseCache, together, and by Alone.
func (c *cache) inUse() string { return filepath.Join(c.dir, "locks", "in-use") }

// Alone keeps everybody from the cache in dir ("" for the usual one) until release is
// called. It fails while somebody uses it.
func Alone(dir string) (release func(), err error) {
	c, err := openCache(dir)
	if err != nil {
		return nil, err
	}
	release, err = tryLock(c.inUse(), syscall.LOCK_EX)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, errCacheInUse
	}
	return release, err
}

// Prune removes outputs from the cache in dir ("" for the usual one), and what killed
// processes have left there. Who calls it is Alone. What was removed before an error is
// in the result.
func Prune(ctx context.Context, dir string, opt PruneOptions) (Pruned, error) {
	c, err := openCache(dir)
	if err != nil {
		return Pruned{}, err
	}
	stale, err := c.stale(time.Now().Add(-opt.Unused), opt.Unused == 0)
	if err != nil {
		return Pruned{}, err
	}
	var pruned Pruned
	links := diskUse{names: map[uint64]uint64{}}
	for _, out := range stale {
		if ctx.Err() != nil {
			return pruned, context.Cause(ctx)
		}
		path := c.path(out.Name)
		if out.Left {
			path = filepath.Join(c.dir, "tmp", out.Name)
		}
		if out.Bytes, err = links.add(path); err != nil {
			return pruned, fmt.Errorf("measuring %s of the cache: %w", out.Name, err)
		}
		if !opt.DryRun {
			if err := c.remove(path, out); err != nil {
				return pruned, fmt.Errorf("removing %s from the cache: %w", out.Name, err)
			}
			links.gone = maps.Clone(links.names)
		}
		pruned.Outputs, pruned.Bytes = append(pruned.Outputs, out), links.freed
	}
	return pruned, nil
}

// stale are the outputs that were used last before a time, and what lies in the folder
// for temporary files, which nobody uses now.
func (c *cache) stale(before time.Time, all bool) ([]PrunedOutput, error) {
	var out []PrunedOutput
	for _, sub := range []string{"tmp", "steps"} {
		entries, err := os.ReadDir(filepath.Join(c.dir, sub))
		if err != nil {
			return nil, fmt.Errorf("reading the cache: %w", err)
		}
		for _, e := range entries {
			if sub == "tmp" {
				out = append(out, PrunedOutput{Name: e.Name(), Left: true})
				continue
			}
			info, err := e.Info()
			if err != nil {
				return nil, fmt.Errorf("reading the cache: %w", err)
			}
			_, err = os.Stat(c.brought(e.Name()))
			if !info.ModTime().After(before) && (all || errors.Is(err, fs.ErrNotExist)) {
				out = append(out, PrunedOutput{Name: e.Name()})
			}
		}
	}
	return out, nil
}

// remove removes an output. The folder leaves its place first: at no time is there a
// part of an output that looks like the whole.
func (c *cache) remove(path string, out PrunedOutput) error {
	if out.Left {
		return os.RemoveAll(path)
	}
	gone := filepath.Join(c.dir, "tmp", "pruned-"+out.Name)
	if err := os.Rename(path, gone); err != nil {
		return err
	}
	if err := os.Remove(c.brought(out.Name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.RemoveAll(gone)
}

// diskUse adds up what goes from a disk: outputs share files, and one that has another
// name elsewhere stays.
type diskUse struct {
	names map[uint64]uint64 // how many of each inode were seen
	gone  map[uint64]uint64 // how many of these were removed
	freed int64
}

// add gives the bytes of a folder's files, or of a file.
func (d *diskUse) add(path string) (bytes int64, err error) {
	err = filepath.WalkDir(path, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		bytes += info.Size()
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			d.freed += info.Size()
			return nil
		}
		if d.names[st.Ino]++; d.names[st.Ino] == uint64(st.Nlink)+d.gone[st.Ino] { //nolint:unconvert // narrower on other systems
			d.freed += info.Size()
		}
		return nil
	})
	return bytes, err
}

// SizeOf adds up the sizes of the files in a folder.
func SizeOf(dir string) (bytes int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			bytes += info.Size()
		}
		return err
	})
	return bytes, err
}
