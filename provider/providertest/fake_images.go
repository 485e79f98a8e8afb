package providertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/kluster-project/kluster/internal/pieces"
	"github.com/kluster-project/kluster/provider"
)

// Images implements provider.Provider.
func (p *Provider) Images(ctx context.Context, sel provider.Selector) ([]provider.Image, error) {
	if err := p.begin(ctx, "Images", ""); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	byID := map[string]provider.Image{}
	for _, ref := range slices.Sorted(maps.Keys(p.images)) {
		img := p.images[ref].Image
		if matches(img.Labels, sel) {
			img.Refs = append(byID[img.ID].Refs, ref)
			byID[img.ID] = img
		}
	}
	return slices.SortedFunc(maps.Values(byID), func(a, b provider.Image) int { return strings.Compare(a.ID, b.ID) }), nil
}

// Image implements provider.Provider.
func (p *Provider) Image(ctx context.Context, ref string) (provider.Image, error) {
	if err := p.begin(ctx, "Image", ref); err != nil {
		return provider.Image{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	held, ok := p.images[ref]
	if !ok {
		return provider.Image{}, fmt.Errorf("looking up image %q: %w", ref, provider.ErrNotFound)
	}
	return held.Image, nil
}

// LoadImage implements provider.Provider.
func (p *Provider) LoadImage(ctx context.Context, ref string, img v1.Image, progress func(done, total int64)) error {
	if err := p.begin(ctx, "LoadImage", ref); err != nil {
		return err
	}
	held, err := describe(ref, img)
	if err != nil {
		return fmt.Errorf("loading image %q: %w", ref, err)
	}
	if progress != nil {
		progress(held.Size, held.Size)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.images[ref] = held
	return nil
}

func describe(ref string, img v1.Image) (*fakeImage, error) {
	name, err := img.ConfigName()
	if err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	layers, err := img.Layers()
	if err != nil {
		return nil, err
	}
	held := &fakeImage{content: img, Image: provider.Image{
		ID: name.String(), Refs: []string{ref}, Labels: config.Config.Labels, Created: time.Now(),
		OS: config.OS, Arch: config.Architecture,
	}}
	for _, id := range config.RootFS.DiffIDs {
		held.DiffIDs = append(held.DiffIDs, id.String())
	}
	for _, layer := range layers {
		size, err := layer.Size()
		if err != nil {
			return nil, err
		}
		held.Size += size
	}
	return held, nil
}

// RemoveImage implements provider.Provider.
func (p *Provider) RemoveImage(ctx context.Context, ref string) error {
	if err := p.begin(ctx, "RemoveImage", ref); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.images, ref)
	return nil
}

// ReadImage implements provider.Provider.
func (p *Provider) ReadImage(
	ctx context.Context, ref string, wanted map[string]bool, put func(provider.ImageLayer, io.Reader) error,
) (provider.ImageContent, error) {
	var content provider.ImageContent
	if err := p.begin(ctx, "ReadImage", ref); err != nil {
		return content, err
	}
	p.mu.Lock()
	held, ok := p.images[ref]
	p.mu.Unlock()
	if !ok {
		return content, fmt.Errorf("reading image %q: %w", ref, provider.ErrNotFound)
	}
	layers, err := held.content.Layers()
	if err != nil {
		return content, err
	}
	for i, l := range layers {
		if err := readLayer(held.DiffIDs[i], l, &content, wanted, put); err != nil {
			return content, fmt.Errorf("reading image %q: %w", ref, err)
		}
	}
	content.Config, err = held.content.RawConfigFile()
	return content, err
}

// OpenImage implements provider.Provider, if Local.
func (p *Provider) OpenImage(ctx context.Context, ref string, wanted map[string]bool) (provider.ImageFiles, error) {
	if err := p.begin(ctx, "OpenImage", ref); err != nil {
		return nil, err
	}
	if !p.Local {
		return nil, fmt.Errorf("opening image %q: %w", ref, errors.ErrUnsupported)
	}
	files := &imageFiles{layers: map[string][]byte{}}
	var err error
	files.content, err = p.ReadImage(ctx, ref, wanted, func(l provider.ImageLayer, r io.Reader) (err error) {
		files.layers[l.DiffID], err = io.ReadAll(r)
		return err
	})
	return files, err
}

// imageFiles is an image whose layers are in memory.
type imageFiles struct {
	content provider.ImageContent
	layers  map[string][]byte
}

func (f *imageFiles) Content() provider.ImageContent { return f.content }

func (f *imageFiles) Layer(_ context.Context, diffID string) pieces.Seq {
	text, ok := f.layers[diffID]
	if !ok {
		return pieces.Fail(fmt.Errorf("layer %s was not opened", diffID))
	}
	return func(yield func(pieces.Piece, error) bool) { yield(pieces.Piece{Text: text}, nil) }
}

// readLayer gives put a plain layer, if it is wanted and was not given already.
func readLayer(
	id string, l v1.Layer, content *provider.ImageContent, wanted map[string]bool, put func(provider.ImageLayer, io.Reader) error,
) error {
	r, err := l.Uncompressed()
	if err != nil {
		return err
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	as := provider.ImageLayer{DiffID: id, Digest: id, Size: int64(len(data))}
	again := slices.Contains(content.Layers, as)
	content.Layers = append(content.Layers, as)
	if again || !wanted[id] {
		return nil
	}
	return put(as, bytes.NewReader(data))
}
