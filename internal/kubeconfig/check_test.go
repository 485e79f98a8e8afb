package kubeconfig

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	file := func(name, data string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(link, link); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		path, want string // "" when it can be used
	}{
		"none yet":         {filepath.Join(dir, "a", "b", "config"), ""},
		"one":              {file("one", theirs), ""},
		"empty":            {file("empty", ""), ""},
		"a folder":         {dir, "not a regular file"},
		"broken":           {file("broken", "clusters: ["), "not a kubeconfig"},
		"odd":              {file("odd", "apiVersion: v1\nkind: Pod\n"), "not a kubeconfig"},
		"below a file":     {filepath.Join(file("f", ""), "config"), "not a directory"},
		"far below a file": {filepath.Join(file("g", ""), "a", "config"), "not a directory"},
		"links in a ring":  {link, "too many symbolic links"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Check(tt.path, "kluster-a")
			if (err == nil) != (tt.want == "") || err != nil && (!strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.path)) {
				t.Errorf("got error %v, want %q", err, tt.want)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(dir, "a")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("checking made a folder")
	}
}

func TestCheckPermissions(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, nil, 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"file":   secret,
		"folder": filepath.Join(dir, "config"),
		"above":  filepath.Join(dir, "a", "b", "config"),
	} {
		if err := withoutRoot(t, func() error { return Check(path, "kluster-a") }); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: got error %v", name, err)
		}
	}
}

// withoutRoot calls f, as a user without rights if the tests are root's.
func withoutRoot(t *testing.T, f func() error) error {
	t.Helper()
	if os.Getuid() != 0 {
		return f()
	}
	const nobody = 65534
	done := make(chan error)
	go func() {
		// The thread is never unlocked, and so ends with the goroutine: no other
		// gets its user.
		runtime.LockOSThread()
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, nobody, nobody, nobody); errno != 0 {
			done <- errno
			return
		}
		done <- f()
	}()
	return <-done
}
