package docker

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/storage"
	"github.com/docker/docker/api/types/system"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"github.com/vbatts/tar-split/tar/asm"
	split "github.com/vbatts/tar-split/tar/storage"

	"github.com/kluster-project/kluster/provider"
)

// diskStore is an engine's folder with one image of two layers.
type diskStore struct {
	info   system.Info
	held   image.InspectResponse
	layers []string // their tar files
	dirs   []string
}

func layerTar(t *testing.T, files ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, name := range files {
		h := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(name)), Uname: "someone"}
		if strings.HasSuffix(name, "/") {
			h = &tar.Header{Name: name, Mode: 0o755, Typeflag: tar.TypeDir}
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := io.WriteString(w, name); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func writeFile(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, data, 0o600)); err != nil {
		t.Fatal(err)
	}
}

// newDiskStore lays a store out as engines do: the tar file of each layer taken
// apart into its folder and the recipe.
func newDiskStore(t *testing.T) *diskStore {
	t.Helper()
	root := t.TempDir()
	s := &diskStore{info: system.Info{DockerRootDir: root}}
	s.held.GraphDriver = storage.DriverData{Name: "overlay2", Data: map[string]string{}}
	store, chain := filepath.Join(root, "image", "overlay2"), ""
	for _, files := range [][]string{{"./b", "./a/", "./a/x"}, {"etc/", "etc/c"}} {
		text := layerTar(t, files...)
		diffID := digest.FromBytes(text).String()
		chain = chainID(chain, diffID)
		dir := filepath.Join(root, "overlay2", digest.Digest(chain).Encoded(), "diff")
		var recipe bytes.Buffer
		zip := gzip.NewWriter(&recipe)
		in, done, err := asm.NewInputTarStreamWithDone(bytes.NewReader(text), split.NewJSONPacker(zip), split.NewDiscardFilePutter())
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, in)
		if err = errors.Join(err, <-done, zip.Close()); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(store, "layerdb", "sha256", digest.Digest(chain).Encoded(), "tar-split.json.gz"), recipe.Bytes())
		for _, f := range files {
			if !strings.HasSuffix(f, "/") {
				writeFile(t, filepath.Join(dir, f), []byte(f))
			}
		}
		s.layers, s.dirs = append(s.layers, string(text)), append(s.dirs, dir)
		s.held.RootFS.Layers = append(s.held.RootFS.Layers, diffID)
	}
	s.held.GraphDriver.Data["UpperDir"], s.held.GraphDriver.Data["LowerDir"] = s.dirs[1], s.dirs[0]
	s.held.ID = digest.FromString("{}").String()
	writeFile(t, filepath.Join(store, "imagedb", "content", "sha256", hexOf("{}")), []byte("{}"))
	return s
}

// read gives what is read of the layers with these numbers.
func (s *diskStore) read(t *testing.T, numbers ...int) ([]string, provider.ImageContent, error) {
	t.Helper()
	wanted := map[string]bool{}
	for _, n := range numbers {
		wanted[s.held.RootFS.Layers[n]] = true
	}
	d, err := openDisk(s.info, s.held, wanted)
	if err != nil {
		return nil, provider.ImageContent{}, err
	}
	var got []string
	err = d.read(t.Context(), wanted, func(l provider.ImageLayer, r io.Reader) error {
		data, err := io.ReadAll(r)
		if got = append(got, string(data)); err == nil && l.Size != int64(len(data)) {
			t.Errorf("layer %s was said to have %d bytes, and has %d", l.DiffID, l.Size, len(data))
		}
		return err
	})
	return got, d.Content(), err
}

func TestDiskImage(t *testing.T) {
	s := newDiskStore(t)
	got, content, err := s.read(t, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s.layers, got); diff != "" {
		t.Errorf("layers (-want +got):\n%s", diff)
	}
	want := provider.ImageContent{Config: []byte("{}")}
	for i, id := range s.held.RootFS.Layers {
		want.Layers = append(want.Layers, provider.ImageLayer{DiffID: id, Digest: id, Size: int64(len(s.layers[i]))})
	}
	if diff := cmp.Diff(want, content); diff != "" {
		t.Errorf("content (-want +got):\n%s", diff)
	}
	if got, _, err := s.read(t, 1); err != nil || len(got) != 1 || got[0] != s.layers[1] {
		t.Errorf("one layer: %d read, %v", len(got), err)
	}
}

// TestDiskImageNotThere sees that an image is not opened whose store is not whole:
// nothing of it has been given out by then.
func TestDiskImageNotThere(t *testing.T) {
	for name, spoil := range map[string]func(s *diskStore){
		"no root":       func(s *diskStore) { s.info.DockerRootDir = filepath.Join(s.info.DockerRootDir, "x") },
		"no folders":    func(s *diskStore) { s.held.GraphDriver.Data = nil },
		"no such layer": func(s *diskStore) { s.held.RootFS.Layers[0] = sha("other") },
		"another ID":    func(s *diskStore) { s.held.ID = "12" },
		"a file is gone": func(s *diskStore) {
			_ = os.Remove(filepath.Join(s.dirs[0], "b"))
		},
		"a file is longer": func(s *diskStore) {
			_ = os.WriteFile(filepath.Join(s.dirs[0], "b"), []byte("longer"), 0o600)
		},
		"a link leads out": func(s *diskStore) {
			_ = os.RemoveAll(filepath.Join(s.dirs[0], "a"))
			_ = os.Symlink(t.TempDir(), filepath.Join(s.dirs[0], "a"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newDiskStore(t)
			spoil(s)
			if got, _, err := s.read(t, 0, 1); err == nil || got != nil {
				t.Errorf("read %d layers, %v", len(got), err)
			}
		})
	}
}

// TestDiskImageChanged sees that a layer is not taken whose files are not what they were.
func TestDiskImageChanged(t *testing.T) {
	s := newDiskStore(t)
	writeFile(t, filepath.Join(s.dirs[0], "b"), []byte("xxx"))
	if _, _, err := s.read(t, 0); err == nil {
		t.Error("no error")
	}
}

func TestDiskImageInterrupted(t *testing.T) {
	s := newDiskStore(t)
	wanted := map[string]bool{s.held.RootFS.Layers[0]: true}
	d, err := openDisk(s.info, s.held, wanted)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	err = d.read(ctx, wanted, func(_ provider.ImageLayer, r io.Reader) error {
		cancel(stopped)
		<-ctx.Done()
		for {
			if _, err := r.Read(make([]byte, 1)); err != nil {
				return err
			}
		}
	})
	if !errors.Is(err, stopped) {
		t.Errorf("got %v", err)
	}
}
