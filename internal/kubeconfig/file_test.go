package kubeconfig

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func rendered(t *testing.T, name string) []byte {
	t.Helper()
	e := entry
	e.Name = name
	b, err := Render(e)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mergeInto(t *testing.T, path, name string) {
	t.Helper()
	warning, err := Merge(t.Context(), path, rendered(t, name))
	if err != nil || warning != "" {
		t.Fatalf("warning %q, error %v", warning, err)
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestConcurrentWriters: none loses what another wrote, though a dead process has
// left its lock; that one is told of once.
func TestConcurrentWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "config")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	leaveLock(t, path, 2*staleAfter)
	const writers = 20
	var wg sync.WaitGroup
	var mu sync.Mutex
	var warnings []string
	for i := range writers {
		conf := rendered(t, fmt.Sprintf("kluster-%d", i))
		wg.Go(func() {
			warning, err := Merge(t.Context(), path, conf)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if warning != "" {
				warnings = append(warnings, warning)
			}
		})
	}
	wg.Wait()
	if c := load(t, readFile(t, path)); len(c.Contexts) != writers || len(c.Clusters) != writers || len(c.AuthInfos) != writers {
		t.Errorf("%d contexts, %d clusters, %d users; want %d of each", len(c.Contexts), len(c.Clusters), len(c.AuthInfos), writers)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], path+".lock") {
		t.Errorf("warnings %q, want one that names the stale lock", warnings)
	}
	checkTidy(t, path)
}

// TestFreshLock: a lock that is held is waited for, as long as the caller wants.
func TestFreshLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	leaveLock(t, path, 0)
	reason := errors.New("enough")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 30*time.Millisecond, reason)
	defer cancel()
	if _, err := Merge(ctx, path, rendered(t, "kluster-a")); !errors.Is(err, reason) {
		t.Errorf("got error %v, want the context's cause", err)
	}
	if _, err := os.Stat(path + ".lock"); err != nil {
		t.Errorf("the other program's lock is gone: %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file was written without the lock")
	}
}

func leaveLock(t *testing.T, path string, age time.Duration) {
	t.Helper()
	if err := os.WriteFile(path+".lock", nil, 0); err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(-age)
	if err := os.Chtimes(path+".lock", at, at); err != nil {
		t.Fatal(err)
	}
}

// checkTidy: nothing but the file is left in its folder.
func checkTidy(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != filepath.Base(path) {
			t.Errorf("%s was left behind", e.Name())
		}
	}
}

func TestModes(t *testing.T) {
	for _, tt := range []struct {
		name         string
		before, want fs.FileMode
	}{
		{"new", 0, 0o600}, {"readable by all", 0o644, 0o600}, {"private", 0o600, 0o600}, {"stricter", 0o400, 0o400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "config")
			if tt.before != 0 {
				if err := os.WriteFile(path, []byte(theirs), tt.before); err != nil {
					t.Fatal(err)
				}
			}
			mergeInto(t, path, "kluster-a")
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode().Perm() != tt.want {
				t.Errorf("mode %o, want %o", info.Mode().Perm(), tt.want)
			}
			checkTidy(t, path)
		})
	}
}

func TestSymlinks(t *testing.T) {
	for _, exists := range []bool{true, false} {
		t.Run(fmt.Sprintf("target exists %v", exists), func(t *testing.T) {
			dir := t.TempDir()
			link, target := filepath.Join(dir, "a", "config"), filepath.Join(dir, "b", "real")
			for _, d := range []string{filepath.Dir(link), filepath.Dir(target)} {
				if err := os.Mkdir(d, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Symlink("../b/real", link); err != nil {
				t.Fatal(err)
			}
			if exists {
				if err := os.WriteFile(target, []byte(theirs), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			mergeInto(t, link, "kluster-a")
			if to, err := os.Readlink(link); err != nil || to != "../b/real" {
				t.Errorf("the link is %q, %v", to, err)
			}
			if c := load(t, readFile(t, target)); c.Contexts["kluster-a"] == nil || exists && c.Contexts["prod"] == nil {
				t.Errorf("the target lacks entries")
			}
			checkTidy(t, link)
			checkTidy(t, target)
		})
	}
}

// TestUntouched: what cannot be changed is left as it is, and the error names it.
func TestUntouched(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	const broken = "apiVersion: v1\nclusters: [\n"
	if err := os.WriteFile(path, []byte(broken), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Merge(t.Context(), path, rendered(t, "kluster-a"))
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "not a kubeconfig") {
		t.Errorf("got error %v, want one that names the file and says why", err)
	}
	if got := string(readFile(t, path)); got != broken {
		t.Errorf("the file is now %q", got)
	}
	checkTidy(t, path)

	if _, err := Merge(t.Context(), t.TempDir(), rendered(t, "kluster-a")); err == nil {
		t.Error("no error for a folder")
	}
	if _, err := Merge(t.Context(), os.DevNull, rendered(t, "kluster-a")); err == nil {
		t.Error("no error for a device")
	}
}

func TestRemove(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config")
	if _, err := Remove(t.Context(), filepath.Join(dir, "no", "config"), "kluster-a", nil); err != nil {
		t.Errorf("no file: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "no")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("removing made a folder")
	}
	if err := os.WriteFile(path, []byte(theirs), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Remove(t.Context(), filepath.Join(path, "config"), "kluster-a", nil); err != nil {
		t.Errorf("a file where the folder was: %v", err)
	}
	if _, err := Remove(t.Context(), path, "kluster-a", nil); err != nil {
		t.Errorf("no entry: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("a file without the entry was touched: %v, %v", info.Mode(), err)
	}
	mergeInto(t, path, "kluster-a")
	for range 2 {
		if _, err := Remove(t.Context(), path, "kluster-a", nil); err != nil {
			t.Fatal(err)
		}
		c := load(t, readFile(t, path))
		if len(c.Clusters) != 1 || c.Contexts["prod"] == nil || c.CurrentContext != "" {
			t.Errorf("%d clusters, current context %q", len(c.Clusters), c.CurrentContext)
		}
	}
}

func TestPath(t *testing.T) {
	sep := string(filepath.ListSeparator)
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, explicit, list, home, want string
		fails                            bool
	}{
		{name: "home", home: "/home/me", want: "/home/me/.kube/config"},
		{name: "first of the list", list: "/a" + sep + "/b", home: "/home/me", want: "/a"},
		{name: "empty elements", list: sep + "/b", want: "/b"},
		{name: "explicit", explicit: "/x", list: "/a", want: "/x"},
		{name: "relative", explicit: "x", want: filepath.Join(here, "x")},
		{name: "nothing", fails: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			env := map[string]string{"KUBECONFIG": tt.list, "HOME": tt.home}
			got, err := Path(tt.explicit, func(k string) string { return env[k] })
			if got != tt.want || (err != nil) != tt.fails {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestSave(t *testing.T) {
	path := filepath.Join(t.TempDir(), "conf")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Save(path, []byte("new")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 || string(readFile(t, path)) != "new" {
		t.Errorf("%v, %v: %s", info.Mode(), err, readFile(t, path))
	}
	if err := Save(filepath.Join(path, "x"), nil); err == nil {
		t.Error("wrote below a file")
	}
	if err := Save(t.TempDir(), nil); err == nil {
		t.Error("wrote in place of a folder")
	}
}

// A link stays one, and what is no file stays what it is.
func TestSaveElsewhere(t *testing.T) {
	dir := t.TempDir()
	link, target := filepath.Join(dir, "link"), filepath.Join(dir, "target")
	if err := os.Symlink("target", link); err != nil {
		t.Fatal(err)
	}
	if err := Save(link, []byte("conf")); err != nil {
		t.Fatal(err)
	}
	if to, err := os.Readlink(link); err != nil || to != "target" || string(readFile(t, target)) != "conf" {
		t.Errorf("link to %q, %v; target holds %q", to, err, readFile(t, target))
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	read := make(chan []byte)
	go func() { data, _ := os.ReadFile(fifo); read <- data }()
	if err := Save(fifo, []byte("conf")); err != nil {
		t.Fatal(err)
	}
	if got := <-read; string(got) != "conf" {
		t.Errorf("through the pipe came %q", got)
	}
	if info, err := os.Lstat(fifo); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		t.Errorf("the pipe is %v, %v", info, err)
	}
}
