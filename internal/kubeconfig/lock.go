package kubeconfig

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/kluster-project/kluster/internal/wait"
)

// The lock is client-go's: a file "PATH.lock" that only its maker can have made.
// It is empty, so nobody can tell whose it is, but it is held for milliseconds:
// one that has been there for staleAfter was left by a process that died.
const (
	staleAfter = 30 * time.Second
	// lockWait is longer, so that a lock left just now does not fail a create.
	lockWait = 40 * time.Second
	// firstPause doubles up to maxPause between tries.
	firstPause = 5 * time.Millisecond
	maxPause   = 500 * time.Millisecond
)

// lockAll takes the locks of path and, if that is another file, of the target it
// links to. It returns notes about stale locks that it broke.
func lockAll(ctx context.Context, path, target string) (unlock func(), notes []string, err error) {
	first, notes, err := lock(ctx, path)
	if err != nil || path == target {
		return first, notes, err
	}
	second, more, err := lock(ctx, target)
	notes = append(notes, more...)
	if err != nil {
		first()
		return nil, notes, err
	}
	return func() { second(); first() }, notes, nil
}

func lock(ctx context.Context, path string) (unlock func(), notes []string, err error) {
	name := path + ".lock"
	ctx, cancel := context.WithTimeoutCause(ctx, lockWait, fmt.Errorf(
		"still locked after %s: another program holds %s; remove that file if none does", lockWait, name))
	defer cancel()
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0)
		if err == nil {
			return func() { _ = os.Remove(name) }, notes, f.Close()
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, notes, fmt.Errorf("locking: %w", err)
		}
		age, err := breakStale(name)
		if err != nil {
			return nil, notes, err
		}
		if age > 0 {
			notes = append(notes, fmt.Sprintf("removed the lock %s: it was %s old, left by a program that died", name, age.Round(time.Second)))
			continue
		}
		if !wait.For(ctx, pause/2+rand.N(pause)) {
			return nil, notes, context.Cause(ctx)
		}
	}
}

// breakStale removes the lock called name if it is stale, and tells its age then.
// Those who break locks do so one at a time, under an advisory lock of the folder,
// lest one removes the fresh lock that another has just taken.
func breakStale(name string) (time.Duration, error) {
	if staleAge(name) == 0 {
		return 0, nil
	}
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return 0, fmt.Errorf("breaking a stale lock: %w", err)
	}
	defer dir.Close()
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX); err != nil {
		return 0, fmt.Errorf("breaking a stale lock: locking %s: %w", dir.Name(), err)
	}
	age := staleAge(name)
	if age == 0 {
		return 0, nil
	}
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("breaking a stale lock: %w", err)
	}
	return age, nil
}

// staleAge is the age of a stale lock, 0 for a fresh one or none.
func staleAge(name string) time.Duration {
	info, err := os.Lstat(name)
	if err != nil {
		return 0
	}
	if age := time.Since(info.ModTime()); age > staleAfter {
		return age
	}
	return 0
}
