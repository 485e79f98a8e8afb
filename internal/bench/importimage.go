package bench

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
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

const (
	// importRef is the name of the image that is imported.
	importRef = "bench.kluster.dev/import:1"
	// importLayers is how many layers it has, each of as many files.
	importLayers = 4
	// importFileSize is the size of every file in bytes: four make 10^6.
	importFileSize = 250_000
)

// importImage fills in the time of the first import of an image.
func (p *pairCluster) importImage(ctx context.Context, s *RuntimeSample) error {
	ctx, cancel := context.WithTimeout(ctx, p.opt.Timeout)
	defer cancel()
	out, err := p.call(ctx, p.pair.Load(p.name, p.archive))
	if err != nil {
		return err
	}
	if _, err := p.call(ctx, p.pair.Has(p.name, p.node, importRef)); err != nil {
		return fmt.Errorf("the image is not there after the import: %w", err)
	}
	s.ImportSeconds, s.ImportBytes = out.Took.Seconds(), p.report.Settings.Runtimes.ArchiveBytes
	return nil
}

// writeImageFile writes the archive to import and gives its size in bytes. It is on
// the disk when this returns, so that nothing of it is written later.
func writeImageFile(file string, megabytes int) (size int64, err error) {
	out, err := os.Create(file)
	if err != nil {
		return 0, fmt.Errorf("making an image to import: %w", err)
	}
	defer out.Close()
	if err = writeImage(out, megabytes); err == nil {
		err = out.Sync()
	}
	info, statErr := out.Stat()
	if err = errors.Join(err, statErr); err != nil {
		return 0, fmt.Errorf("making an image to import: %w", err)
	}
	return info.Size(), nil
}

// writeImage writes an archive in the form that engines save images in, with layers
// that are not compressed, and cannot be. It is always the same for a size.
func writeImage(w io.Writer, megabytes int) error {
	out := tar.NewWriter(w)
	random := rand.NewChaCha8([32]byte{})
	config := v1.ConfigFile{Architecture: runtime.GOARCH, OS: "linux", RootFS: v1.RootFS{Type: "layers"}}
	image := tarball.Descriptor{RepoTags: []string{importRef}}
	for i := range importLayers {
		layer, err := randomLayer(random, i+1, megabytes)
		if err != nil {
			return err
		}
		digest := hexSum(layer)
		name := digest + "/layer.tar"
		if err := addFile(out, name, layer); err != nil {
			return err
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

// randomLayer is a layer with so many files.
func randomLayer(random io.Reader, number, files int) ([]byte, error) {
	var layer bytes.Buffer
	out := tar.NewWriter(&layer)
	folder := fmt.Sprintf("layer-%d/", number)
	if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: folder, Mode: 0o755}); err != nil {
		return nil, err
	}
	content := make([]byte, importFileSize)
	for i := range files {
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
