package etcddisk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

var errCut = errors.New("cut short")

// inOwnMounts runs the test with mounts that nobody else sees, and that end with it.
func inOwnMounts(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounts need root")
	}
	if _, err := exec.LookPath("mke2fs"); err != nil {
		t.Skip("no mke2fs: make tools installs it")
	}
	runtime.LockOSThread() // never unlocked: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
		t.Skip("no mount namespace: ", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	if err := checkLoop(); err != nil {
		t.Skip(err)
	}
}

// node is a root with data of etcd in it.
func node(t *testing.T) Disk {
	t.Helper()
	d := Disk{Root: t.TempDir(), Output: output}
	for name, data := range content {
		path := d.path(DataDir, member, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// As a node has it: shared, and a file system of its own.
	if err := unix.Mount(d.path(DataDir), d.path(DataDir), "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", d.path(DataDir), "", unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reboot(d); _ = unix.Unmount(d.path(DataDir), unix.MNT_DETACH) })
	return d
}

var content = map[string][]byte{
	"snap/db":    bytes.Repeat([]byte("database"), 1<<16),
	"wal/0.wal":  append(bytes.Repeat([]byte("log"), 1000), make([]byte, 8<<20)...),
	"wal/1.tmp":  make([]byte, 4<<20),
	"wal/2.wal":  []byte("short"),
	"snap/empty": nil,
}

func output(ctx context.Context, stdin, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return string(out), err
}

// reboot ends all mounts but the volume's own.
func reboot(d Disk) {
	if d.covered() {
		_ = unix.Unmount(d.path(DataDir), unix.MNT_DETACH)
	}
	for _, m := range []string{volume, side} {
		for isMountPoint(d.path(m)) {
			_ = unix.Unmount(d.path(m), unix.MNT_DETACH)
		}
	}
}

// has says that the data is there, with what was changed, and nothing else is.
func has(t *testing.T, d Disk, changed map[string][]byte) {
	t.Helper()
	for name, want := range content {
		if other, ok := changed[name]; ok {
			want = other
		}
		if got, err := os.ReadFile(d.path(DataDir, member, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, want %d, %v", name, len(got), len(want), err)
		}
	}
}

func isBack(t *testing.T, d Disk) {
	t.Helper()
	if d.Given() || d.covered() || isMountPoint(d.path(side)) {
		t.Error("something of it is left")
	}
	entries, err := os.ReadDir(d.path(DataDir))
	if err != nil || len(entries) != 1 {
		t.Errorf("the volume holds %v, %v", entries, err)
	}
}

func fine() error { return nil }

func TestFullAndBack(t *testing.T) {
	inOwnMounts(t)
	d := node(t)
	if err := d.Check(); err != nil {
		t.Skip(err)
	}
	if err := d.Give(t.Context(), fine); err != nil {
		t.Fatal(err)
	}
	has(t, d, nil)
	if exists(filepath.Join(d.volume(), member)) {
		t.Error("the volume has a member, too")
	}
	if err := d.Give(t.Context(), fine); err == nil {
		t.Error("given twice")
	}
	if err := d.Fill(); err != nil {
		t.Fatal(err)
	}
	has(t, d, nil)
	log, err := os.OpenFile(d.path(DataDir, member, "wal/0.wal"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if _, err := log.WriteAt(bytes.Repeat([]byte("x"), 2*block), 3000); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("writing on a full disk: %v", err)
	}
	// What fits into the last block is still written, and not lost.
	if _, err := log.WriteAt([]byte("acknowledged"), 3000); err != nil {
		t.Error(err)
	}
	now, err := os.ReadFile(d.path(DataDir, member, "wal/0.wal"))
	if err != nil || bytes.Equal(now, content["wal/0.wal"]) {
		t.Error("nothing was written", err)
	}
	log.Close()
	var image unix.Stat_t
	if err := unix.Stat(d.in(imageName), &image); err != nil {
		t.Fatal(err)
	}
	if used := image.Blocks * 512; used > 64<<20 {
		t.Errorf("the host's disk lost %d MiB", used>>20)
	}
	if err := d.TakeBack(t.Context()); err != nil {
		t.Fatal(err)
	}
	isBack(t, d)
	has(t, d, map[string][]byte{"wal/0.wal": now})
}

// imageName is image, which a variable hides.
const imageName = image

// TestCutShort cuts a fault short before each of its commands and at the check before the
// image counts, with and without a reboot then, and the way back before each of its own,
// too: the data is there, and what was written in between is never lost.
func TestCutShort(t *testing.T) {
	inOwnMounts(t)
	for give := 0; ; give++ {
		ended := false
		for back := 0; !ended; back++ {
			for _, boots := range []bool{false, true} {
				ended = cutShort(t, give, back, boots)
			}
			if t.Failed() {
				t.Fatalf("cut at %d and %d", give, back)
			}
		}
		if gaveAll {
			return
		}
	}
}

// gaveAll says that the last Give was not cut short.
var gaveAll bool

// cutShort cuts Give before its give-th command, and the first TakeBack before its
// back-th; ended says that it was not.
func cutShort(t *testing.T, give, back int, boots bool) (ended bool) {
	t.Helper()
	d := node(t)
	limited := func(n int) Disk {
		return Disk{Root: d.Root, Output: func(ctx context.Context, stdin, name string, args ...string) (string, error) {
			if n--; n < 0 {
				return "", errCut
			}
			return output(ctx, stdin, name, args...)
		}}
	}
	err := limited(give).Give(t.Context(), fine)
	if err != nil && !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	gaveAll = err == nil
	changed := map[string][]byte{"wal/2.wal": []byte("acknowledged")}
	if gaveAll {
		if err := os.WriteFile(d.path(DataDir, member, "wal/2.wal"), changed["wal/2.wal"], 0o600); err != nil {
			t.Fatal(err)
		}
	} else {
		changed = nil
	}
	if boots {
		reboot(d)
	}
	if err = limited(back).TakeBack(t.Context()); err != nil && !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	if ended = err == nil; !ended {
		if boots {
			reboot(d)
		}
		if err := d.TakeBack(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	isBack(t, d)
	has(t, d, changed)
	return ended
}

// TestEveryNameAlone begins the way back from each state that a kill can leave behind.
func TestEveryNameAlone(t *testing.T) {
	inOwnMounts(t)
	for _, tc := range []struct {
		name string
		make func(d Disk) error
	}{
		{"an image that does not count yet", func(d Disk) error { return os.WriteFile(d.in(newImage), []byte("half"), 0o600) }},
		{"a copy that does not count yet, besides an image that does", func(d Disk) error {
			if err := d.Give(t.Context(), fine); err != nil {
				return err
			}
			return os.MkdirAll(d.in(newMember)+"/wal", 0o700)
		}},
		{"a member left from before", func(d Disk) error {
			if err := d.Give(t.Context(), fine); err != nil {
				return err
			}
			return os.MkdirAll(filepath.Join(d.volume(), member, "wal"), 0o700)
		}},
		{"the copy counts, under another name", func(d Disk) error {
			if err := os.Rename(d.path(DataDir, member), d.in(newMember)); err != nil {
				return err
			}
			return os.WriteFile(d.in(oldImage), nil, 0o600)
		}},
		{"all but the old image has gone", func(d Disk) error { return os.WriteFile(d.in(oldImage), nil, 0o600) }},
	} {
		for _, boots := range []bool{false, true} {
			d := node(t)
			if !strings.Contains(tc.name, "member") && !strings.Contains(tc.name, "besides") {
				if err := os.Mkdir(d.path(DataDir, Dir), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if err := tc.make(d); err != nil {
				t.Fatal(tc.name, err)
			}
			if boots {
				reboot(d)
			}
			if err := d.TakeBack(t.Context()); err != nil {
				t.Fatal(tc.name, err)
			}
			isBack(t, d)
			has(t, d, nil)
			if t.Failed() {
				t.Fatal(tc.name, boots)
			}
		}
	}
}

func TestStillIsAsked(t *testing.T) {
	inOwnMounts(t)
	d := node(t)
	if err := d.Give(t.Context(), func() error { return errCut }); !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	if exists(d.in(image)) {
		t.Error("the image counts")
	}
	if err := d.TakeBack(t.Context()); err != nil {
		t.Fatal(err)
	}
	isBack(t, d)
	has(t, d, nil)
}

func TestDataEnd(t *testing.T) {
	for _, tc := range []struct {
		data []byte
		want int64
	}{
		{nil, 0},
		{make([]byte, 3*block), 0},
		{slices.Concat([]byte("x"), make([]byte, 3*block)), block},
		{slices.Concat(make([]byte, 2*block), []byte("x")), 3 * block},
		{slices.Concat(make([]byte, 300*block), []byte("x"), make([]byte, 300*block)), 301 * block},
	} {
		got, err := dataEnd(bytes.NewReader(tc.data), int64(len(tc.data)))
		if err != nil || got != tc.want {
			t.Errorf("%d bytes: got %d, %v, want %d", len(tc.data), got, err, tc.want)
		}
	}
}
