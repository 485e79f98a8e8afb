package store

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/cri"
)

// form is a store of two databases, one folder of layers and one of blobs.
var form = cri.Store{
	Layers: "layers", Blobs: "blobs/sha256", Copied: []string{"layers.db", "layers/l", "meta/meta.db"},
}

const (
	layer     = "layers/7"
	blob      = "blobs/sha256/abc"
	short     = "layers/l/SHORT"
	layersDB  = "layers.db"
	metadata  = "meta/meta.db"
	snapshots = "layers"
)

// preload makes a store of one layer and one blob.
func preload(t *testing.T) string {
	t.Helper()
	src := t.TempDir()
	put(t, src, metadata, "meta")
	put(t, src, layersDB, "layers")
	put(t, src, short, "short name")
	put(t, src, layer+"/fs/bin/sh", "shell")
	put(t, src, blob, "blob")
	return src
}

func put(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func link(t *testing.T, src, dst string) {
	t.Helper()
	if err := Link(t.Context(), form, src, dst, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
}

func TestLink(t *testing.T) {
	src, dst := preload(t), t.TempDir()
	link(t, src, dst)
	got := []string{
		read(t, dst, metadata), read(t, dst, layersDB), read(t, dst, layer+"/fs/bin/sh"), read(t, dst, blob),
	}
	if diff := cmp.Diff([]string{"meta", "layers", "shell", "blob"}, got); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{layer, blob} {
		if info, err := os.Lstat(filepath.Join(dst, name)); err != nil || info.Mode()&os.ModeSymlink == 0 {
			t.Errorf("%s is copied, not linked (%v)", name, err)
		}
	}
	for _, name := range []string{metadata, layersDB, short} {
		if info, err := os.Lstat(filepath.Join(dst, name)); err != nil || !info.Mode().IsRegular() {
			t.Errorf("%s is not a copy (%v)", name, err)
		}
	}
}

func TestLinkTwiceKeepsTheNodesOwnState(t *testing.T) {
	src, dst := preload(t), t.TempDir()
	link(t, src, dst)
	put(t, dst, metadata, "written by containerd")
	if err := os.RemoveAll(filepath.Join(dst, blob)); err != nil {
		t.Fatal(err)
	}
	link(t, src, dst)
	if got := read(t, dst, metadata); got != "written by containerd" {
		t.Errorf("database was overwritten: %q", got)
	}
	if _, err := os.Lstat(filepath.Join(dst, blob)); !os.IsNotExist(err) {
		t.Error("a removed blob came back")
	}
}

// A crash may leave links, the first database and half of a copy behind.
func TestLinkAfterCrash(t *testing.T) {
	src, dst := preload(t), t.TempDir()
	link(t, src, dst)
	if err := os.Remove(filepath.Join(dst, metadata)); err != nil {
		t.Fatal(err)
	}
	put(t, dst, metadata+".new", "much longer than the real one, but half")
	link(t, src, dst)
	if got := read(t, dst, metadata); got != "meta" {
		t.Errorf("database is %q", got)
	}
}

func TestRemovingALinkedLayerLeavesTheStore(t *testing.T) {
	src, dst := preload(t), t.TempDir()
	link(t, src, dst)
	// What containerd does to remove a layer.
	gone := filepath.Join(dst, snapshots, "rm-7")
	if err := os.Rename(filepath.Join(dst, layer), gone); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(gone); err != nil {
		t.Fatal(err)
	}
	if got := read(t, src, layer+"/fs/bin/sh"); got != "shell" {
		t.Errorf("layer in the store is %q", got)
	}
}

func TestStoreThatIsReadInPlace(t *testing.T) {
	dst, inPlace := t.TempDir(), form
	inPlace.InPlace = true
	if err := Link(t.Context(), inPlace, preload(t), dst, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(dst); err != nil || len(entries) != 0 {
		t.Errorf("made %v (%v) of a store that is read where it is", entries, err)
	}
}

// What is written into a folder that lies among the linked layers must not reach the
// image.
func TestCopiedFolderAmongTheLayers(t *testing.T) {
	src, dst := preload(t), t.TempDir()
	link(t, src, dst)
	put(t, dst, "layers/l/NEW", "of a layer of the node's own")
	if _, err := os.Lstat(filepath.Join(src, "layers/l/NEW")); !os.IsNotExist(err) {
		t.Error("a short name was written into the store")
	}
	if got := read(t, dst, short); got != "short name" {
		t.Errorf("short name is %q", got)
	}
}

// A runtime that writes beside a layer's files writes into the node.
func TestInnerFolderOfALayer(t *testing.T) {
	src, dst, inner := preload(t), t.TempDir(), form
	inner.Inner = "fs"
	put(t, src, layer+"/link", "SHORT")
	if err := os.Mkdir(filepath.Join(src, layer, "work"), 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 { // as after a crash
		if err := Link(t.Context(), inner, src, dst, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(dst, metadata)); err != nil {
			t.Fatal(err)
		}
	}
	if got := read(t, dst, layer+"/fs/bin/sh") + read(t, dst, layer+"/link"); got != "shellSHORT" {
		t.Errorf("layer holds %q", got)
	}
	if info, err := os.Lstat(filepath.Join(dst, layer, "fs")); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("files of the layer are copied, not linked (%v)", err)
	}
	put(t, dst, layer+"/committed", "")
	if _, err := os.Lstat(filepath.Join(src, layer, "committed")); !os.IsNotExist(err) {
		t.Error("what the runtime writes reaches the image")
	}
	if _, err := os.Lstat(filepath.Join(dst, short)); err != nil {
		t.Error(err)
	}
}

func TestNoStore(t *testing.T) {
	dst := t.TempDir()
	link(t, filepath.Join(dst, "missing"), dst)
	entries, err := os.ReadDir(dst)
	if err != nil || len(entries) != 0 {
		t.Errorf("made %v (%v) from nothing", entries, err)
	}
}

// What is done where the store lies on FUSE.
func TestCopyLayers(t *testing.T) {
	src, dst := preload(t), t.TempDir()
	if err := os.Link(filepath.Join(src, layer, "fs/bin/sh"), filepath.Join(src, layer, "fs/bin/ash")); err != nil {
		t.Fatal(err)
	}
	put(t, dst, snapshots+".new/7/fs/bin/half", "of a copy that was cut short")
	for range 2 {
		s := filler{form: form, src: src, dst: dst, layers: func(src, dst string, _ func(string) bool) error { return copyTree(t.Context(), src, dst) }}
		if err := s.fill(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Lstat(filepath.Join(dst, layer))
	if err != nil || !info.IsDir() {
		t.Fatalf("layer is %v, %v", info, err)
	}
	var names []os.FileInfo
	for _, name := range []string{"sh", "ash"} {
		info, err := os.Stat(filepath.Join(dst, layer, "fs/bin", name))
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, info)
	}
	if !os.SameFile(names[0], names[1]) {
		t.Error("a hard link was copied as two files")
	}
	if _, err := os.Stat(filepath.Join(dst, layer, "fs/bin/half")); !os.IsNotExist(err) {
		t.Error("half of an earlier copy is there")
	}
	if got := read(t, dst, metadata); got != "meta" {
		t.Errorf("database is %q", got)
	}
}

func TestReclaim(t *testing.T) {
	whole := form
	whole.Parts = []string{"layers", "layers.db", "blobs", "meta"}
	src, dst := preload(t), t.TempDir()
	put(t, dst, metadata, "another runtime's")
	put(t, dst, "other/file", "kept")
	reclaim := func(src string) {
		t.Helper()
		if err := Reclaim(whole, src, dst); err != nil {
			t.Fatal(err)
		}
	}
	reclaim(filepath.Join(src, "none"))
	if got := read(t, dst, metadata); got != "another runtime's" {
		t.Errorf("without preloaded images: %q", got)
	}
	reclaim(src)
	link(t, src, dst)
	if got := read(t, dst, metadata); got != "meta" {
		t.Errorf("after another runtime: %q", got)
	}
	put(t, dst, metadata, "own")
	reclaim(src)
	link(t, src, dst)
	if got := read(t, dst, metadata) + read(t, dst, "other/file"); got != "ownkept" {
		t.Errorf("a second time: %q", got)
	}
}
