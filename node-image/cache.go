package nodeimage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// cache keeps the output of each step in a folder named after the step and
// the digest of its inputs. A folder appears whole or not at all.
type cache struct{ dir string }

func openCache(dir string) (*cache, error) {
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("finding the cache folder: %w", err)
		}
		dir = filepath.Join(base, "kluster")
	}
	for _, sub := range []string{"steps", "locks", "tmp", "brought"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, diskError(fmt.Errorf("making the cache folder: %w", err))
		}
	}
	c := &cache{dir: dir}
	return c, c.sweep(time.Now().Add(-unfinishedTime))
}

// TempDir is the folder for temporary files of the cache in dir ("" for the usual one).
// What a killed process leaves there goes after a day.
func TempDir(dir string) (string, error) {
	c, err := openCache(dir)
	if err != nil {
		return "", err
	}
	return filepath.Join(c.dir, "tmp"), nil
}

// unfinishedTime is longer than any step takes.
const unfinishedTime = 24 * time.Hour

// sweep removes what killed builds left half made before a time.
func (c *cache) sweep(before time.Time) error {
	tmp := filepath.Join(c.dir, "tmp")
	entries, err := os.ReadDir(tmp)
	if err != nil {
		return fmt.Errorf("reading the cache folder: %w", err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || info.ModTime().After(before) {
			continue // gone already, or perhaps still worked on
		}
		if err := os.RemoveAll(filepath.Join(tmp, e.Name())); err != nil {
			return fmt.Errorf("removing what a killed build left: %w", err)
		}
	}
	return nil
}

// stepKey is the digest of a step's inputs.
func stepKey(inputs any) (string, error) {
	data, err := json.Marshal(inputs)
	if err != nil {
		return "", fmt.Errorf("encoding a step's inputs: %w", err)
	}
	return digestOf(data)[len("sha256:"):][:20], nil
}

// outputName is the name of a step's folder.
func outputName(name string, inputs any) (string, error) {
	key, err := stepKey(inputs)
	return name + "-" + key, err
}

func (c *cache) path(step string) string { return filepath.Join(c.dir, "steps", step) }

// get gives the folder of a step's output, made by fill if it is not there.
func (c *cache) get(ctx context.Context, name, key string, fill func(dir string) error) (string, error) {
	return c.getNamed(ctx, name+"-"+key, fill)
}

// getNamed is get by the whole name of a step. Two processes that want the same step
// do not both make it.
func (c *cache) getNamed(ctx context.Context, step string, fill func(dir string) error) (string, error) {
	out := c.path(step)
	if isMade(out) {
		return out, nil
	}
	unlock, err := lockFile(ctx, filepath.Join(c.dir, "locks", step), syscall.LOCK_EX)
	if err != nil {
		return "", err
	}
	defer unlock()
	if isMade(out) {
		return out, nil
	}
	tmp, err := os.MkdirTemp(filepath.Join(c.dir, "tmp"), step+"-")
	if err != nil {
		return "", diskError(err)
	}
	defer os.RemoveAll(tmp)
	if err := fill(tmp); err != nil {
		return "", diskError(err)
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return "", err
	}
	markUsed(tmp)
	return out, diskError(os.Rename(tmp, out))
}

// isMade says whether a step's output is there, to be used.
func isMade(out string) bool {
	if _, err := os.Stat(out); err != nil {
		return false
	}
	markUsed(out)
	return true
}

// markUsed makes a folder's time that of its last use, for Prune. Who may not do
// so cannot prune either.
func markUsed(dir string) {
	now := time.Now()
	_ = os.Chtimes(dir, now, now)
}

// DiskFullError is a full disk under the cache.
type DiskFullError struct{ Err error }

func (e *DiskFullError) Error() string {
	return "disk is full (a node image needs about 6 GB below the cache and temporary folders): " + e.Err.Error()
}

func (e *DiskFullError) Unwrap() error { return e.Err }

// ExitCode is that of an unfit host.
func (e *DiskFullError) ExitCode() int { return exitUnfit }

// diskError makes errors of a full disk recognisable.
func diskError(err error) error {
	var full *DiskFullError
	if err == nil || errors.As(err, &full) {
		return err
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || saysDiskFull(err.Error()) {
		return &DiskFullError{Err: err}
	}
	return err
}

// lockFile takes a lock, syscall.LOCK_EX or LOCK_SH, waiting for other holders
// until ctx ends.
func lockFile(ctx context.Context, path string, how int) (unlock func(), err error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		unlock, err := tryLock(path, how)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return unlock, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
}

// tryLock takes a lock now, or fails with EWOULDBLOCK.
func tryLock(path string, how int) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, diskError(err)
	}
	if err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	return func() { f.Close() }, nil
}
