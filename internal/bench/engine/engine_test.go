package engine

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/docker/docker/api/types/container"
)

func TestWorkingSet(t *testing.T) {
	for name, test := range map[string]struct {
		memory container.MemoryStats
		want   int64
	}{
		"version 2":          {container.MemoryStats{Usage: 100, Stats: map[string]uint64{"inactive_file": 30}}, 70},
		"version 1":          {container.MemoryStats{Usage: 100, Stats: map[string]uint64{"inactive_file": 1, "total_inactive_file": 40}}, 60},
		"all of it inactive": {container.MemoryStats{Usage: 10, Stats: map[string]uint64{"inactive_file": 30}}, 0},
		"not known":          {container.MemoryStats{Usage: 10}, 10},
	} {
		if got := workingSet(test.memory); got != test.want {
			t.Errorf("%s: got %d, want %d", name, got, test.want)
		}
	}
}

// TestBlocks sees that holes do not count, and a file with two names once.
func TestBlocks(t *testing.T) {
	measure := func(dir string) int64 {
		t.Helper()
		n, err := blocks(dir)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	dir := t.TempDir()
	empty := measure(dir)
	const size = 1 << 20
	if err := os.WriteFile(filepath.Join(dir, "a"), bytes.Repeat([]byte("x"), size), 0o600); err != nil {
		t.Fatal(err)
	}
	one := measure(dir)
	if one < empty+size || one > empty+2*size {
		t.Errorf("a file of %d bytes takes %d", size, one-empty)
	}
	if err := os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "b")); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, "a"), 100*size); err != nil {
		t.Fatal(err)
	}
	if got := measure(dir); got < one || got > one+size {
		t.Errorf("another name and a hole take %d", got-one)
	}
	if _, err := blocks(filepath.Join(dir, "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
}

func TestEachEntry(t *testing.T) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := w.WriteHeader(&tar.Header{Name: "bench/a", Size: 1, Mode: 0o600}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	w.Close()
	whole := archive.Bytes()
	seen := ""
	err := eachEntry(tar.NewReader(bytes.NewReader(whole)), func(h *tar.Header, r io.Reader) error {
		data, err := io.ReadAll(r)
		seen += h.Name + "=" + string(data)
		return err
	})
	if err != nil || seen != "bench/a=x" {
		t.Errorf("got %q, %v", seen, err)
	}
	cut := tar.NewReader(bytes.NewReader(whole[:512]))
	if err := eachEntry(cut, func(_ *tar.Header, r io.Reader) error { _, err := io.Copy(io.Discard, r); return err }); err == nil {
		t.Error("half an archive was taken for a whole one")
	}
}

func TestIsOf(t *testing.T) {
	if isOf(os.Getpid(), "no such container") || isOf(0, "") || isOf(-1, "") {
		t.Error("a process was taken for a container's")
	}
}
