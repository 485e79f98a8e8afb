package nodeimage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Pruned is what Prune has removed.
type Pruned struct {
	Steps []string `json:"steps"` // "build-kubernetes-0123456789abcdef0123"
	Bytes int64    `json:"bytes"`
}

// errCacheInUse is a Prune while a build goes on.
var errCacheInUse = errors.New("a build is using the cache; try again when it has ended")

// UseCache keeps Prune away from the cache in dir ("" for the usual one) until
// release is called. Who calls Build needs the cache until the image was read.
func UseCache(ctx context.Context, dir string) (release func(), err error) {
	c, err := openCache(dir)
	if err != nil {
		return nil, err
	}
	return lockFile(ctx, c.inUse(), syscall.LOCK_SH)
}

// inUse is locked by builds, together, and by Prune, alone.
func (c *cache) inUse() string { return filepath.Join(c.dir, "locks", "in-use") }

// Prune removes the outputs of steps that no build has used for so long from the
// cache in dir ("" for the usual one), and what killed builds have left. It fails
// when a build is going on. What was removed before an error is in the result.
func Prune(ctx context.Context, dir string, unused time.Duration) (Pruned, error) {
	pruned := Pruned{Steps: []string{}}
	c, err := openCache(dir)
	if err != nil {
		return pruned, err
	}
	unlock, err := tryLock(c.inUse(), syscall.LOCK_EX)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return pruned, errCacheInUse
	}
	if err != nil {
		return pruned, err
	}
	defer unlock()
	now := time.Now()
	if err := c.sweep(now); err != nil {
		return pruned, err
	}
	return pruned, c.removeSteps(ctx, now.Add(-unused), &pruned)
}

// removeSteps removes the steps that were used last before a time.
func (c *cache) removeSteps(ctx context.Context, before time.Time, pruned *Pruned) error {
	entries, err := os.ReadDir(filepath.Join(c.dir, "steps"))
	if err != nil {
		return fmt.Errorf("reading the cache: %w", err)
	}
	for _, e := range entries {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		info, err := e.Info()
		if err != nil {
			return fmt.Errorf("reading the cache: %w", err)
		}
		if info.ModTime().After(before) {
			continue
		}
		size, err := c.removeStep(e.Name())
		if err != nil {
			return fmt.Errorf("removing %s from the cache: %w", e.Name(), err)
		}
		pruned.Steps, pruned.Bytes = append(pruned.Steps, e.Name()), pruned.Bytes+size
	}
	return nil
}

// removeStep gives the size of what it removed. The folder leaves its place
// first: at no time is there a part of an output that looks like the whole.
func (c *cache) removeStep(name string) (bytes int64, err error) {
	dir := filepath.Join(c.dir, "steps", name)
	if bytes, err = sizeOf(dir); err != nil {
		return 0, err
	}
	gone := filepath.Join(c.dir, "tmp", "pruned-"+name)
	if err := os.Rename(dir, gone); err != nil {
		return 0, err
	}
	return bytes, os.RemoveAll(gone)
}

// sizeOf adds up the sizes of the files in a folder.
func sizeOf(dir string) (bytes int64, err error) {
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
