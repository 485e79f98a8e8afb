package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/imageload"
	"github.com/kluster-project/kluster/internal/pieces"
	"github.com/kluster-project/kluster/provider"
)

// engineSource is images that the engine holds.
type engineSource struct {
	p      provider.Provider
	refs   []string
	images []*imageload.Image
}

// heldSource finds images of the engine by name.
func (m *Manager) heldSource(ctx context.Context, refs []string, want v1.Platform) (imageload.Source, error) {
	s := &engineSource{p: m.provider}
	for _, ref := range refs {
		held, err := m.provider.Image(ctx, ref)
		if errors.Is(err, provider.ErrNotFound) {
			return nil, failure.With(fmt.Errorf("the engine holds no image %q: %w", ref, provider.ErrNotFound),
				failure.Hint("pull or build it first, or give a file with --archive"))
		}
		if err != nil {
			return nil, err
		}
		if err := imageload.CheckPlatform(ref, v1.Platform{OS: held.OS, Architecture: held.Arch}, want); err != nil {
			return nil, err
		}
		img, err := imageload.New(ref, held.ID, held.DiffIDs)
		if err != nil {
			return nil, err
		}
		s.refs, s.images = append(s.refs, ref), append(s.images, img)
	}
	return s, nil
}

func (s *engineSource) Images() []*imageload.Image { return s.images }

// Read implements imageload.Source. A layer of several images is given once.
func (s *engineSource) Read(ctx context.Context, wanted map[v1.Hash]bool, put func(l imageload.Layer, r io.Reader) error) error {
	left := map[string]bool{}
	for h := range wanted {
		left[h.String()] = true
	}
	for i, ref := range s.refs {
		content, err := s.p.ReadImage(ctx, ref, left, func(l provider.ImageLayer, r io.Reader) error {
			delete(left, l.DiffID)
			layer, err := layerOf(l)
			if err != nil {
				return err
			}
			return put(layer, r)
		})
		if err != nil {
			return err
		}
		if err := s.complete(i, content); err != nil {
			return err
		}
	}
	return nil
}

// complete takes what has been learnt of the image i.
func (s *engineSource) complete(i int, content provider.ImageContent) error {
	var layers []imageload.Layer
	for _, l := range content.Layers {
		layer, err := layerOf(l)
		if err != nil {
			return err
		}
		layers = append(layers, layer)
	}
	if err := s.images[i].Complete(content.Config, layers); err != nil {
		return fmt.Errorf("image %q changed meanwhile: %w", s.refs[i], err)
	}
	return nil
}

// Open implements imageload.Opener.
func (s *engineSource) Open(ctx context.Context, wanted map[v1.Hash]bool) (imageload.Opened, error) {
	opened := openImages{}
	for i, ref := range s.refs {
		left := map[string]bool{}
		for h := range wanted {
			if opened[h.String()] == nil {
				left[h.String()] = true
			}
		}
		image, err := s.p.OpenImage(ctx, ref, left)
		if err != nil {
			return nil, err
		}
		if err := s.complete(i, image.Content()); err != nil {
			return nil, err
		}
		for _, l := range s.images[i].Layers {
			if left[l.Digest.String()] {
				opened[l.Digest.String()] = image
			}
		}
	}
	return opened, nil
}

// openImages are those that have the layers that are wanted, by digest.
type openImages map[string]provider.ImageFiles

func (o openImages) Layer(ctx context.Context, l imageload.Layer) pieces.Seq {
	return o[l.Digest.String()].Layer(ctx, l.DiffID.String())
}

// Close has nothing to close: files are opened when they are read.
func (o openImages) Close() error { return nil }

func layerOf(l provider.ImageLayer) (imageload.Layer, error) {
	as := imageload.Layer{Size: l.Size, Media: types.DockerUncompressedLayer}
	if l.Compressed {
		as.Media = types.DockerLayer
	}
	var err error
	if as.DiffID, err = v1.NewHash(l.DiffID); err != nil {
		return as, err
	}
	as.Digest, err = v1.NewHash(l.Digest)
	return as, err
}
