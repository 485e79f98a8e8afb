package imageload

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
)

// Names of files in archives, and annotations of an index's entries: an image's whole
// name, and its tag.
const (
	layoutFile = "oci-layout"
	indexFile  = "index.json"
	nameKey    = "io.containerd.image.name"
	tagKey     = "org.opencontainers.image.ref.name"
	layoutText = `{"imageLayoutVersion":"1.0.0"}`
)

// PlanFile is the first file of a stream that has layers, and ManifestFile the last of all.
const (
	PlanFile     = "layers.json"
	ManifestFile = "manifest.json"
)

// LayerMark is the owner's name, in a stream's headers, of a file that is a layer: who
// reads it can tell before it knows what the images are.
const LayerMark = "layer"

// Stream writes images for a node: an OCI image layout that is an archive of docker's
// too, with only some of the layers. What names the images comes last, so that of a
// stream which ends early no runtime makes anything.
type Stream struct {
	w    io.Writer
	plan []*Image
	done map[string]bool
	rest int64 // of the last file, behind its content
}

// NewStream begins a stream of images, of which as much is known as their source knows
// before it is read.
func NewStream(w io.Writer, all []*Image) *Stream {
	return &Stream{w: w, plan: all, done: map[string]bool{}}
}

// Planned is a layer in the plan, with which a stream that has layers begins: for each
// image the layers from the lowest up. A reader learns from it what lies on what.
type Planned struct {
	File   string  `json:"file"`
	DiffID v1.Hash `json:"diffID"`
}

func (s *Stream) writePlan() error {
	var plan [][]Planned
	for _, img := range s.plan {
		var layers []Planned
		for _, l := range img.Layers {
			layers = append(layers, Planned{blob(l.Digest), l.DiffID})
		}
		plan = append(plan, layers)
	}
	return s.json(PlanFile, plan)
}

// Layer begins a layer's file, whose Size bytes are then to be written to the result, which
// is where the stream goes.
func (s *Stream) Layer(l Layer) (io.Writer, error) {
	if !s.done[PlanFile] {
		if err := s.writePlan(); err != nil {
			return nil, err
		}
	}
	s.done[blob(l.Digest)] = true
	return s.w, s.header(blob(l.Digest), l.Size, LayerMark)
}

// Close writes what makes images of the layers, and ends the stream.
func (s *Stream) Close(all []*Image) error {
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	var entries []entry
	for _, img := range all {
		manifest, media, err := img.manifest()
		if err != nil {
			return err
		}
		hash, err := v1.NewHash(digest.FromBytes(manifest).String())
		if err != nil {
			return err
		}
		for h, text := range map[v1.Hash][]byte{hash: manifest, img.ID: img.Config} {
			if err := s.once(blob(h), text); err != nil {
				return err
			}
		}
		for _, name := range img.Names {
			index.Manifests = append(index.Manifests, v1.Descriptor{
				MediaType: media, Size: int64(len(manifest)), Digest: hash,
				Annotations: map[string]string{nameKey: name, tagKey: tagOf(name)},
			})
		}
		entries = append(entries, img.entry())
	}
	if err := s.once(layoutFile, []byte(layoutText)); err != nil {
		return err
	}
	if err := s.json(indexFile, index); err != nil {
		return err
	}
	if err := s.json(ManifestFile, entries); err != nil {
		return err
	}
	return s.fill(2 * tarBlock)
}

func tagOf(name string) string { return name[lastColon(name)+1:] }

func lastColon(name string) int {
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == ':' {
			return i
		}
	}
	return -1
}

// entry is an image in docker's manifest.json.
type entry struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func (img *Image) entry() entry {
	e := entry{Config: blob(img.ID), RepoTags: img.Names}
	for _, l := range img.Layers {
		e.Layers = append(e.Layers, blob(l.Digest))
	}
	return e
}

// manifest is the image's own, or one for what its layers are.
func (img *Image) manifest() ([]byte, types.MediaType, error) {
	if img.Manifest != nil {
		return img.Manifest, img.Media, nil
	}
	m := v1.Manifest{SchemaVersion: 2, MediaType: types.DockerManifestSchema2, Config: v1.Descriptor{
		MediaType: types.DockerConfigJSON, Size: int64(len(img.Config)), Digest: img.ID,
	}}
	for _, l := range img.Layers {
		m.Layers = append(m.Layers, v1.Descriptor{MediaType: l.Media, Size: l.Size, Digest: l.Digest})
	}
	text, err := json.Marshal(m)
	if err != nil {
		return nil, "", fmt.Errorf("making a manifest for %s: %w", img.label(), err)
	}
	return text, m.MediaType, nil
}

func (s *Stream) json(name string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding %s: %w", name, err)
	}
	return s.once(name, text)
}

// once writes a file unless it is there.
func (s *Stream) once(name string, text []byte) error {
	if s.done[name] {
		return nil
	}
	s.done[name] = true
	if err := s.header(name, int64(len(text)), ""); err != nil {
		return err
	}
	_, err := s.w.Write(text)
	return err
}

func (s *Stream) header(name string, size int64, owner string) error {
	if err := s.fill(0); err != nil {
		return err
	}
	s.rest = filling(size)
	// One for each header: content does not come by it.
	return tar.NewWriter(s.w).WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: size, ModTime: time.Unix(0, 0), Uname: owner,
	})
}

// fill writes zeros: the rest of the last file, and more.
func (s *Stream) fill(more int64) error {
	if s.rest+more == 0 {
		return nil
	}
	_, err := s.w.Write(make([]byte, s.rest+more))
	s.rest = 0
	return err
}

// blob is where a layout has the file of a digest.
func blob(h v1.Hash) string { return path.Join("blobs", h.Algorithm, h.Hex) }
