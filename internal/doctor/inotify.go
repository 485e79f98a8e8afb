package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// limit is a host-wide kernel setting that nodes share: below least, kubelets
// and systemd of a few nodes die with "too many open files".
type limit struct {
	name        string // file below proc/sys/fs/inotify
	least       int64
	recommended int64
}

var (
	instances = limit{"max_user_instances", 512, 8192}
	watches   = limit{"max_user_watches", 65536, 524288}
)

const inotifyDir = "proc/sys/fs/inotify"

func (l limit) sysctl() string { return "fs.inotify." + l.name }

func (l limit) read(root fs.FS) (int64, error) {
	text, err := fs.ReadFile(root, inotifyDir+"/"+l.name)
	if err != nil {
		return 0, fmt.Errorf("reading %s: %w", l.sysctl(), err)
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("reading %s: %w", l.sysctl(), err)
	}
	return n, nil
}

func (l limit) check(root fs.FS) finding {
	advice := fmt.Sprintf("raise it: sysctl -w %s=%d (kluster create does so when it runs as root)", l.sysctl(), l.recommended)
	n, err := l.read(root)
	switch {
	case err != nil:
		return finding{Warn, firstLine(err.Error()), advice}
	case n < l.least:
		return finding{Warn, fmt.Sprint(n), advice}
	}
	return ok("%d", n)
}

func (e *examination) inotifyInstances(context.Context) finding { return instances.check(e.host.Root) }

func (e *examination) inotifyWatches(context.Context) finding { return watches.check(e.host.Root) }

// RaiseInotify raises the host's inotify limits where they are too low for a
// few nodes, and says so on w, one line for each. Where it may not, it says
// what to run instead; that is no error, since small clusters still work.
func RaiseInotify(w io.Writer) error { return raiseInotify(w, "/") }

func raiseInotify(w io.Writer, root string) error {
	var errs []error
	for _, l := range []limit{instances, watches} {
		errs = append(errs, l.raise(w, root))
	}
	return errors.Join(errs...)
}

func (l limit) raise(w io.Writer, root string) error {
	n, err := l.read(os.DirFS(root))
	if errors.Is(err, fs.ErrNotExist) || (err == nil && n >= l.least) {
		return nil // not Linux here, or high enough
	}
	if err != nil {
		return err
	}
	path := filepath.Join(root, inotifyDir, l.name)
	if err := os.WriteFile(path, []byte(strconv.FormatInt(l.recommended, 10)), 0); err != nil {
		_, err := fmt.Fprintf(w, "%s is %d, which is low; raise it: sysctl -w %s=%d\n", l.sysctl(), n, l.sysctl(), l.recommended)
		return err
	}
	_, err = fmt.Fprintf(w, "raised the host's %s from %d to %d, until it restarts\n", l.sysctl(), n, l.recommended)
	return err
}
