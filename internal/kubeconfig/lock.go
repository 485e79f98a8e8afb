package kubeconfig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/kluster-project/kluster/internal/wait"
)

// The lock is client-go's: a file "PATH.lock" that only its maker can have made.
// Others leave it empty, so that nobody can tell whose it is; but it is held for
// milliseconds, and one that has been there for staleAfter was left by a program that
// died. Kluster writes heldByKluster into its own under an advisory lock, which the
// kernel lets go of when the process ends: who gets that one knows at once that the
// holder has died, and who does not, that it lives, however long it takes.
const (
	staleAfter = 30 * time.Second
	// lockWait is longer, so that a lock left just now does not fail a create.
	lockWait = 40 * time.Second
	// firstPause doubles up to maxPause between tries.
	firstPause = 5 * time.Millisecond
	maxPause   = 500 * time.Millisecond

	heldByKluster = "kluster\n"
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
		f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if err == nil {
			sign(f)
			return func() { _ = errors.Join(os.Remove(name), f.Close()) }, notes, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, notes, fmt.Errorf("locking: %w", err)
		}
		age, broken, err := breakStale(name)
		if err != nil {
			return nil, notes, err
		}
		if broken {
			notes = append(notes, fmt.Sprintf("removed the lock %s: it was %s old, left by a program that died", name, age.Round(time.Second)))
			continue
		}
		if !wait.For(ctx, pause/2+rand.N(pause)) {
			return nil, notes, context.Cause(ctx)
		}
	}
}

// sign says in a lock that it is kluster's. Where that fails, as on a full disk, it is
// a lock like those of others.
func sign(f *os.File) {
	// Who looks at a lock has it for a moment.
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX) == nil {
		_, _ = f.WriteString(heldByKluster)
	}
}

// breakStale removes the lock called name if its holder has died, and tells its age
// then. Those who break locks do so one at a time, under an advisory lock of the
// folder, lest one removes the fresh lock that another has just taken.
func breakStale(name string) (age time.Duration, broken bool, err error) {
	if _, stale := staleAge(name); !stale {
		return 0, false, nil
	}
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return 0, false, fmt.Errorf("breaking a stale lock: %w", err)
	}
	defer dir.Close()
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX); err != nil {
		return 0, false, fmt.Errorf("breaking a stale lock: locking %s: %w", dir.Name(), err)
	}
	age, stale := staleAge(name)
	if !stale {
		return 0, false, nil
	}
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, false, fmt.Errorf("breaking a stale lock: %w", err)
	}
	return age, true, nil
}

// staleAge says whether the holder of a lock has died, and the lock's age.
func staleAge(name string) (age time.Duration, stale bool) {
	info, err := os.Lstat(name)
	if err != nil {
		return 0, false
	}
	age = time.Since(info.ModTime())
	switch holderOf(name) {
	case holderGone:
		return age, true
	case holderLives:
		return age, false
	default:
		return age, age > staleAfter
	}
}

// holder is what can be told of who holds a lock.
type holder int

const (
	holderUnknown holder = iota // another program, or another user's kluster
	holderLives
	holderGone
)

// holderOf looks at a lock as kluster makes it.
func holderOf(name string) holder {
	f, err := os.Open(name)
	if err != nil {
		return holderUnknown // kubectl's cannot be read
	}
	defer f.Close()
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return holderLives
	}
	text, rerr := io.ReadAll(io.LimitReader(f, int64(len(heldByKluster))))
	if err != nil || rerr != nil || string(text) != heldByKluster {
		return holderUnknown
	}
	// One that was given up while it was looked at is not there any more.
	mine, err := f.Stat()
	if now, serr := os.Lstat(name); err != nil || serr != nil || !os.SameFile(mine, now) {
		return holderUnknown
	}
	return holderGone
}
