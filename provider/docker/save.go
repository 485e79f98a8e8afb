package docker

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/system"
	"github.com/opencontainers/go-digest"

	"github.com/kluster-project/kluster/provider"
)

// maxText bounds a file of an archive that is read into memory.
const maxText = 4 << 20

// ReadImage implements provider.Provider. Layers are read from the engine's own store
// where this process may; else the engine saves all of the image, and what is not
// wanted is dropped.
func (p *Provider) ReadImage(
	ctx context.Context, ref string, wanted map[string]bool, put func(provider.ImageLayer, io.Reader) error,
) (provider.ImageContent, error) {
	info, held, err := p.inspect(ctx, ref)
	if err != nil {
		return provider.ImageContent{}, err
	}
	if disk, err := p.disk(info, held, wanted); err == nil {
		if err := disk.read(ctx, wanted, put); err != nil {
			return provider.ImageContent{}, fmt.Errorf("reading image %q: %w", ref, err)
		}
		return disk.Content(), nil
	}
	s := &saved{
		id: held.ID, diffIDs: held.RootFS.Layers, wanted: wanted, put: put,
		files: map[string]provider.ImageLayer{}, read: map[string]provider.ImageLayer{},
	}
	if containerdStore(info) {
		// What an engine that keeps layers compressed calls them is known when all is read.
		if err = p.save(ctx, ref, s.learn); err == nil {
			err = s.learned()
		}
	}
	if err == nil {
		err = p.save(ctx, ref, s.file)
	}
	if err != nil {
		return provider.ImageContent{}, fmt.Errorf("reading image %q: %w", ref, err)
	}
	content, err := s.content()
	if err != nil {
		return provider.ImageContent{}, fmt.Errorf("reading image %q: %w", ref, err)
	}
	return content, nil
}

// inspect asks for an image to be read, and for what is to be known of the engine.
func (p *Provider) inspect(ctx context.Context, ref string) (system.Info, image.InspectResponse, error) {
	held, err := p.api.ImageInspect(ctx, ref)
	if err != nil {
		return system.Info{}, held, fmt.Errorf("looking up image %q: %w", ref, explain(err))
	}
	info, err := p.api.Info(ctx)
	if err != nil {
		return info, held, fmt.Errorf("reading image %q: %w", ref, explain(err))
	}
	return info, held, nil
}

// OpenImage implements provider.Provider, where this process may read the engine's own
// store.
func (p *Provider) OpenImage(ctx context.Context, ref string, wanted map[string]bool) (provider.ImageFiles, error) {
	info, held, err := p.inspect(ctx, ref)
	if err != nil {
		return nil, err
	}
	disk, err := p.disk(info, held, wanted)
	if err != nil {
		return nil, fmt.Errorf("opening image %q: %w: %w", ref, errors.ErrUnsupported, err)
	}
	return disk, nil
}

// save calls do with the files of what "docker save" gives.
func (p *Provider) save(ctx context.Context, ref string, do func(h *tar.Header, r io.Reader) error) error {
	stream, err := p.api.ImageSave(ctx, []string{ref})
	if err != nil {
		return explain(err)
	}
	defer stream.Close()
	for tr := tar.NewReader(stream); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("what the engine saves: %w", err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		h.Name = path.Clean(h.Name)
		if err := do(h, tr); err != nil {
			return err
		}
	}
}

// saved is an image that is being saved.
type saved struct {
	id      string
	diffIDs []string
	wanted  map[string]bool
	put     func(provider.ImageLayer, io.Reader) error

	files  map[string]provider.ImageLayer // by the name of the file, as far as known
	read   map[string]provider.ImageLayer // by diff ID
	config []byte
	texts  map[string][]byte // of learn
}

// file takes one file of the archive.
func (s *saved) file(h *tar.Header, r io.Reader) error {
	if l, ok := s.layerOf(h.Name); ok {
		return s.layer(l, h.Size, r)
	}
	if h.Size > maxText {
		return nil
	}
	var err error
	switch folder, base := path.Split(h.Name); {
	case base == legacyText && folder != "":
		var text []byte
		if text, err = io.ReadAll(r); err == nil {
			s.files[folder+legacyLayer], err = s.legacy(path.Clean(folder), text)
		}
	case s.config == nil && strings.TrimSuffix(base, ".json") == strings.TrimPrefix(s.id, "sha256:"):
		s.config, err = io.ReadAll(r)
	}
	return err
}

func (s *saved) layer(l provider.ImageLayer, size int64, r io.Reader) error {
	if _, had := s.read[l.DiffID]; had {
		return nil
	}
	l.Size = size
	s.read[l.DiffID] = l
	if !s.wanted[l.DiffID] {
		return nil
	}
	return s.put(l, checkLayer(r, l))
}

// layerOf says which layer a file is. Engines from 25 on name files by the digest of
// their content.
func (s *saved) layerOf(name string) (provider.ImageLayer, bool) {
	if l, ok := s.files[name]; ok {
		return l, true
	}
	if hex, ok := strings.CutPrefix(name, "blobs/sha256/"); ok && slices.Contains(s.diffIDs, "sha256:"+hex) {
		return plainLayer("sha256:" + hex), true
	}
	return provider.ImageLayer{}, false
}

// Files in the folder of a layer, as engines before 25 write it.
const (
	legacyText  = "json"
	legacyLayer = "layer.tar"
)

// legacy says which layer a folder is, by what is written beside the layer. The
// folder's name is the digest of that, of the chain ID of the layer and of the name of
// the folder below: of all layers but the uppermost, in which all of the image's
// configuration counts, so that it is the one that is none of the others.
func (s *saved) legacy(folder string, text []byte) (provider.ImageLayer, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return provider.ImageLayer{}, fmt.Errorf("what the engine saves of layer %s: %w", folder, err)
	}
	for _, later := range []string{"id", "parent", "os"} { // than the name
		delete(fields, later)
	}
	chain, below := "", ""
	for i, id := range s.diffIDs {
		if chain = chainID(chain, id); i == len(s.diffIDs)-1 {
			return plainLayer(id), nil
		}
		fields["layer_id"] = json.RawMessage(strconv.Quote(chain))
		if below != "" {
			fields["parent"] = json.RawMessage(strconv.Quote(below))
		}
		named, err := json.Marshal(fields)
		if err != nil {
			return provider.ImageLayer{}, err
		}
		if below = digest.FromBytes(named).String(); below == "sha256:"+folder {
			return plainLayer(id), nil
		}
	}
	return provider.ImageLayer{}, errors.New("the engine says that it has no layers")
}

// chainID names a layer together with those below it.
func chainID(below, diffID string) string {
	if below == "" {
		return diffID
	}
	return digest.FromString(below + " " + diffID).String()
}

func plainLayer(diffID string) provider.ImageLayer {
	return provider.ImageLayer{DiffID: diffID, Digest: diffID}
}

// learn keeps the small files of an archive.
func (s *saved) learn(h *tar.Header, r io.Reader) error {
	if h.Size > maxText || len(s.texts) > 1000 {
		return nil
	}
	if s.texts == nil {
		s.texts = map[string][]byte{}
	}
	text, err := io.ReadAll(r)
	s.texts[h.Name] = text
	return err
}

// learned finds the manifest of the image among the small files.
func (s *saved) learned() error {
	for _, text := range s.texts {
		var m struct {
			Config struct{ Digest string }
			Layers []struct{ Digest, MediaType string }
		}
		if json.Unmarshal(text, &m) != nil || len(m.Layers) == 0 || len(m.Layers) != len(s.diffIDs) {
			continue
		}
		config := s.texts["blobs/sha256/"+strings.TrimPrefix(m.Config.Digest, "sha256:")]
		var file struct {
			RootFS struct {
				DiffIDs []string `json:"diff_ids"`
			}
		}
		if json.Unmarshal(config, &file) != nil || !slices.Equal(file.RootFS.DiffIDs, s.diffIDs) {
			continue
		}
		s.id, s.config = m.Config.Digest, config
		for i, l := range m.Layers {
			s.files["blobs/sha256/"+strings.TrimPrefix(l.Digest, "sha256:")] = provider.ImageLayer{
				DiffID: s.diffIDs[i], Digest: l.Digest, Compressed: strings.HasSuffix(l.MediaType, "gzip"),
			}
		}
		return nil
	}
	return errors.New("what the engine saves has no manifest of it")
}

// content is what there is when all was read.
func (s *saved) content() (provider.ImageContent, error) {
	c := provider.ImageContent{Config: s.config}
	if s.config == nil {
		return c, errors.New("what the engine saves has no configuration of it")
	}
	for _, id := range s.diffIDs {
		l, ok := s.read[id]
		if !ok {
			return c, fmt.Errorf("what the engine saves lacks its layer %s", id)
		}
		c.Layers = append(c.Layers, l)
	}
	return c, nil
}

// checked is a reader that ends with an error if what was read has another digest.
type checked struct {
	r    io.Reader
	sum  digest.Verifier
	name string
}

func checkLayer(r io.Reader, l provider.ImageLayer) *checked {
	return &checked{r: r, sum: digest.Digest(l.Digest).Verifier(), name: l.DiffID}
}

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	_, _ = c.sum.Write(p[:n])
	if errors.Is(err, io.EOF) && !c.sum.Verified() {
		return n, fmt.Errorf("what the engine keeps as layer %s has another digest", c.name)
	}
	return n, err
}
