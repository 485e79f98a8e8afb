package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/opencontainers/go-digest"
)

// member is a file of an archive; a name that ends with a slash is a folder's.
type member struct{ name, text, owner string }

func archiveOf(t *testing.T, members ...member) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Mode: 0o644, Size: int64(len(m.text)), Uname: m.owner, Uid: os.Getuid(), Gid: os.Getgid()}
		if strings.HasSuffix(m.name, "/") {
			h.Typeflag, h.Mode = tar.TypeDir, 0o750
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(m.text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zipped(t *testing.T, text []byte) string {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// names are the files that name an image of layers with these diff IDs.
func names(t *testing.T, files []string, diffIDs ...string) []member {
	t.Helper()
	config, err := json.Marshal(map[string]any{"rootfs": map[string]any{"diff_ids": diffIDs}})
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := json.Marshal([]map[string]any{{"Config": "config.json", "Layers": files}})
	if err != nil {
		t.Fatal(err)
	}
	return []member{{"config.json", string(config), ""}, {"manifest.json", string(manifest), ""}}
}

func TestReadUnpacksLayers(t *testing.T) {
	plain := archiveOf(t, member{name: "etc/"}, member{"etc/a", "1", ""})
	implied := archiveOf(t, member{"usr/share/doc/b", "2", ""})
	ids := []string{digest.FromBytes(plain).String(), digest.FromBytes(implied).String()}
	stream := archiveOf(t, append([]member{
		{planFile, "[]", ""}, {"blobs/1", string(plain), layerMark}, {"blobs/2", zipped(t, implied), layerMark},
	}, names(t, []string{"blobs/1", "blobs/2"}, ids...)...)...)
	c, err := read(t.Context(), bytes.NewReader(stream), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	images, err := c.images()
	if err != nil {
		t.Fatal(err)
	}
	if len(images) != 1 || len(images[0].chain) != 2 || images[0].chain[0].id != ids[0] ||
		images[0].chain[1].id != digest.FromString(ids[0]+" "+ids[1]).String() {
		t.Errorf("images %+v", images)
	}
	for file, want := range map[string]string{"blobs/1": "etc/a", "blobs/2": "usr/share/doc/b"} {
		if _, err := os.Stat(filepath.Join(c.layers[file].dir, want)); err != nil {
			t.Error(err)
		}
	}
	if got := strings.Join(c.layers["blobs/2"].implied, " "); got != "usr usr/share usr/share/doc" {
		t.Errorf("folders that the layer does not name: %s", got)
	}
	if got := c.layers["blobs/1"].implied; len(got) > 0 {
		t.Errorf("of a layer that names all: %s", got)
	}
}

func TestBadStreamsMakeNothing(t *testing.T) {
	plain := archiveOf(t, member{"a", "1", ""})
	id := digest.FromBytes(plain).String()
	layer := member{"blobs/1", string(plain), layerMark}
	for name, test := range map[string]struct {
		members []member
		cut     int
		want    string
	}{
		"ends in a layer":       {members: []member{layer}, cut: 1024, want: "unexpected EOF"},
		"ends before its names": {members: []member{layer}, want: "the stream ends early"},
		"another layer":         {members: append([]member{layer}, names(t, []string{"blobs/1"}, digest.FromString("x").String())...), want: "what came as layer"},
		"too few layers":        {members: append([]member{layer}, names(t, []string{"blobs/1"}, id, id)...), want: "it has 1 layers, but its configuration names 2"},
		"no image":              {members: []member{{"manifest.json", "[]", ""}}, want: "names no image"},
	} {
		t.Run(name, func(t *testing.T) {
			stream := archiveOf(t, test.members...)
			if test.cut > 0 {
				stream = stream[:test.cut]
			}
			c, err := read(t.Context(), bytes.NewReader(stream), t.TempDir())
			if err == nil {
				_, err = c.images()
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("err = %v, want %s", err, test.want)
			}
		})
	}
}

func TestFolders(t *testing.T) {
	for name, test := range map[string]struct {
		mounts []mount.Mount
		upper  string
		lower  int
	}{
		"the lowest":   {[]mount.Mount{{Type: "bind", Source: "/s/1/fs"}}, "/s/1/fs", 0},
		"on others":    {[]mount.Mount{{Type: "overlay", Options: []string{"workdir=/s/3/work", "upperdir=/s/3/fs", "lowerdir=/s/2/fs:/s/1/fs"}}}, "/s/3/fs", 2},
		"of no folder": {[]mount.Mount{{Type: "overlay", Options: []string{"lowerdir=/s/1/fs"}}}, "", 0},
	} {
		upper, lower, err := folders(test.mounts)
		if upper != test.upper || len(lower) != test.lower || err != nil != (test.upper == "") {
			t.Errorf("%s: %q %q %v", name, upper, lower, err)
		}
	}
}

// A folder that a layer does not name is what it is below, and is no way out of there.
func TestComplete(t *testing.T) {
	own, below := t.TempDir(), t.TempDir()
	for _, dir := range []string{filepath.Join(own, "d"), filepath.Join(own, "link"), filepath.Join(below, "d")} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(below, "d"), 0o2750); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(t.TempDir(), filepath.Join(below, "link")); err != nil {
		t.Fatal(err)
	}
	l := &layer{dir: own}
	if err := l.complete("d", []string{t.TempDir(), below}); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(own, "d")); err != nil || info.Mode().Perm() != 0o750 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := l.complete("link", []string{below}); err == nil {
		t.Error("a link below is taken for a folder")
	}
	if err := l.complete("none", nil); err == nil {
		t.Error("a folder that is not there")
	}
}

// Folders of loads that were killed go with the next one; those of living ones stay.
func TestOwnFolder(t *testing.T) {
	base := filepath.Join(t.TempDir(), "loads")
	first, free, err := ownFolder(base)
	if err != nil {
		t.Fatal(err)
	}
	killed := filepath.Join(base, "killed")
	if err := os.Mkdir(killed, 0o700); err != nil {
		t.Fatal(err)
	}
	second, freeSecond, err := ownFolder(base)
	if err != nil || second == first {
		t.Fatal(second, err)
	}
	if _, err := os.Stat(killed); !os.IsNotExist(err) {
		t.Errorf("what was left is there: %v", err)
	}
	if _, err := os.Stat(first); err != nil {
		t.Error("a living load's folder has gone:", err)
	}
	for _, free := range []func() error{free, freeSecond} {
		if err := free(); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(base); !os.IsNotExist(err) {
		t.Errorf("something is left: %v", err)
	}
}
