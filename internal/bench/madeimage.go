package bench

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// madeImage is an image that is made to be loaded: of random content, always the
// same for the same seeds.
type madeImage struct {
	ref    string
	layers []madeLayer
	// had is how many layers, from the lowest up, an archive names but does not hold:
	// for an engine that has them.
	had int
}

// madeLayer has so many files, each of size random bytes.
type madeLayer struct {
	seed        uint64
	files, size int
}

// writeFile writes an archive of the image and gives its size in bytes. It is on
// the disk when this returns, so that nothing of it is written later.
func (m madeImage) writeFile(file string) (size int64, err error) {
	out, err := os.Create(file)
	if err != nil {
		return 0, fmt.Errorf("making an image to import: %w", err)
	}
	defer out.Close()
	if err = m.write(out); err == nil {
		err = out.Sync()
	}
	info, statErr := out.Stat()
	if err = errors.Join(err, statErr); err != nil {
		return 0, fmt.Errorf("making an image to import: %w", err)
	}
	return info.Size(), nil
}

// write writes an archive in the form that engines save images in, with layers that
// are not compressed, and cannot be.
func (m madeImage) write(w io.Writer) error {
	out := tar.NewWriter(w)
	config := v1.ConfigFile{Architecture: runtime.GOARCH, OS: "linux", RootFS: v1.RootFS{Type: "layers"}}
	image := tarball.Descriptor{RepoTags: []string{m.ref}}
	for i, l := range m.layers {
		layer, err := l.tar(i + 1)
		if err != nil {
			return err
		}
		digest := hexSum(layer)
		name := digest + "/layer.tar"
		if i >= m.had {
			if err := addFile(out, name, layer); err != nil {
				return err
			}
		}
		image.Layers = append(image.Layers, name)
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, v1.Hash{Algorithm: "sha256", Hex: digest})
		config.History = append(config.History, v1.History{CreatedBy: "kluster-bench"})
	}
	text, err := json.Marshal(config)
	if err != nil {
		return err
	}
	image.Config = hexSum(text) + ".json"
	manifest, err := json.Marshal(tarball.Manifest{image})
	if err != nil {
		return err
	}
	return errors.Join(addFile(out, image.Config, text), addFile(out, "manifest.json", manifest), out.Close())
}

// tar is the layer as a tar file, with its files in a folder of this number.
func (l madeLayer) tar(number int) ([]byte, error) {
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], l.seed)
	random := rand.NewChaCha8(seed)
	var layer bytes.Buffer
	out := tar.NewWriter(&layer)
	folder := fmt.Sprintf("layer-%d/", number)
	if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: folder, Mode: 0o755}); err != nil {
		return nil, err
	}
	content := make([]byte, l.size)
	for i := range l.files {
		if _, err := io.ReadFull(random, content); err != nil {
			return nil, err
		}
		if err := addFile(out, fmt.Sprintf("%sfile-%d", folder, i+1), content); err != nil {
			return nil, err
		}
	}
	err := out.Close()
	return layer.Bytes(), err
}

// sizes are those of the layers, in bytes.
func (m madeImage) sizes() []int64 {
	var all []int64
	for _, l := range m.layers {
		const block = 512 // of which tar files are made
		file := int64(block + (l.size+block-1)/block*block)
		all = append(all, block+int64(l.files)*file+2*block)
	}
	return all
}

func addFile(out *tar.Writer, name string, content []byte) error {
	if err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
		return err
	}
	_, err := out.Write(content)
	return err
}

func hexSum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
