package nodeimage

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/kluster-project/kluster/internal/imageload"
)

// Source gives the archive's images to a load, which sends nodes only the layers that
// they lack.
func (a *Archive) Source() (imageload.Source, error) {
	s := &archiveSource{blobs: map[string]blob{}}
	for _, b := range a.layout.blobs {
		s.blobs[b.hex] = b
	}
	index, err := v1.ParseIndexManifest(bytes.NewReader(a.layout.index))
	if err != nil {
		return nil, fmt.Errorf("reading the index of images: %w", err)
	}
	for _, desc := range index.Manifests {
		name := desc.Annotations["io.containerd.image.name"]
		img, err := s.image(name, desc)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", name, err)
		}
		s.images = append(s.images, img)
	}
	return s, nil
}

// archiveSource is images whose layers are files of the cache.
type archiveSource struct {
	images []*imageload.Image
	blobs  map[string]blob // by the hexadecimal digits of their digests
}

func (s *archiveSource) image(name string, desc v1.Descriptor) (*imageload.Image, error) {
	whole, err := imageload.WholeName(name)
	if err != nil {
		return nil, err
	}
	out := &imageload.Image{Names: []string{whole}, Media: desc.MediaType}
	if out.Manifest, err = s.text(desc.Digest); err != nil {
		return nil, err
	}
	manifest, err := v1.ParseManifest(bytes.NewReader(out.Manifest))
	if err != nil {
		return nil, err
	}
	out.ID = manifest.Config.Digest
	if out.Config, err = s.text(out.ID); err != nil {
		return nil, err
	}
	var config v1.ConfigFile
	if err := json.Unmarshal(out.Config, &config); err != nil {
		return nil, fmt.Errorf("reading its configuration: %w", err)
	}
	if len(config.RootFS.DiffIDs) != len(manifest.Layers) {
		return nil, fmt.Errorf("it has %d layers, and its configuration names %d", len(manifest.Layers), len(config.RootFS.DiffIDs))
	}
	for i, l := range manifest.Layers {
		out.Layers = append(out.Layers, imageload.Layer{DiffID: config.RootFS.DiffIDs[i], Digest: l.Digest, Size: l.Size, Media: l.MediaType})
	}
	return out, nil
}

// text reads a small blob.
func (s *archiveSource) text(digest v1.Hash) ([]byte, error) {
	b, ok := s.blobs[digest.Hex]
	switch {
	case !ok:
		return nil, fmt.Errorf("there is no %s", digest)
	case b.path != "":
		return os.ReadFile(b.path)
	}
	return b.data, nil
}

func (s *archiveSource) Images() []*imageload.Image { return s.images }

// Read implements imageload.Source.
func (s *archiveSource) Read(ctx context.Context, wanted map[v1.Hash]bool, put func(l imageload.Layer, r io.Reader) error) error {
	done := map[v1.Hash]bool{}
	for _, img := range s.images {
		for _, l := range img.Layers {
			if !wanted[l.Digest] || done[l.Digest] {
				continue
			}
			done[l.Digest] = true
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := s.read(l, put); err != nil {
				return fmt.Errorf("layer %s: %w", l.Digest, err)
			}
		}
	}
	return nil
}

func (s *archiveSource) read(l imageload.Layer, put func(l imageload.Layer, r io.Reader) error) error {
	f, err := os.Open(s.blobs[l.Digest.Hex].path)
	if err != nil {
		return err
	}
	defer f.Close()
	return put(l, imageload.Verify(f, l))
}
