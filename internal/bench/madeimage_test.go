package bench

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// TestWriteImage reads the archive with other code than that which wrote it.
func TestWriteImage(t *testing.T) {
	file := filepath.Join(t.TempDir(), "image.tar")
	size, err := importArchive(2).writeFile(file)
	if err != nil {
		t.Fatal(err)
	}
	img, err := tarball.ImageFromPath(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(img); err != nil {
		t.Error(err)
	}
	layers, err := img.Layers()
	if err != nil || len(layers) != importLayers {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
	for i, l := range layers {
		var plain bytes.Buffer
		r, err := l.Uncompressed()
		if err == nil {
			_, err = plain.ReadFrom(r)
		}
		if want := importArchive(2).sizes()[i]; err != nil || int64(plain.Len()) != want {
			t.Errorf("layer %d has %d bytes, %v, want %d", i, plain.Len(), err, want)
		}
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if size != int64(len(data)) || size < 2_000_000 || size > 2_100_000 {
		t.Errorf("the archive has %d bytes, told were %d", len(data), size)
	}
	var small bytes.Buffer
	z := gzip.NewWriter(&small)
	if _, err := z.Write(data); err != nil {
		t.Fatal(err)
	}
	z.Close()
	if small.Len() < 2_000_000 {
		t.Errorf("it was compressed to %d bytes", small.Len())
	}
	var again bytes.Buffer
	if err := importArchive(2).write(&again); err != nil || !bytes.Equal(again.Bytes(), data) {
		t.Errorf("the second archive is another one: %v", err)
	}
}

func TestImportName(t *testing.T) {
	var archive bytes.Buffer
	if err := importArchive(1).write(&archive); err != nil {
		t.Fatal(err)
	}
	m, err := tarball.LoadManifest(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive.Bytes())), nil })
	if err != nil || len(m) != 1 || len(m[0].RepoTags) != 1 || m[0].RepoTags[0] != importRef {
		t.Errorf("got %+v, %v", m, err)
	}
}

func TestWriteImageFileFails(t *testing.T) {
	if _, err := importArchive(1).writeFile(filepath.Join(t.TempDir(), "missing", "image.tar")); err == nil {
		t.Error("a file was written into a folder that is not there")
	}
}
