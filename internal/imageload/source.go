package imageload

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
)

// files are images in a tree.
type files struct {
	tree   tree
	images []*Image
	// layer names the file of a layer, by digest.
	layer map[v1.Hash]string
}

// Archive opens what a container engine's "save" writes, or an OCI image layout as a
// tar file; both may be compressed with gzip. Of an image for several platforms it is
// the one for want. name is what an image is called that has no name, "" for none.
func Archive(ctx context.Context, file, name string, want v1.Platform) (Source, error) {
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		return nil, fmt.Errorf("reading the archive %s: it is a directory; give it with --oci-layout if it is an OCI layout", file)
	}
	t, err := openArchive(ctx, file)
	if err != nil {
		return nil, err
	}
	s, err := sourceOf(ctx, t, name, want)
	if err != nil {
		return nil, fmt.Errorf("reading the archive %s: %w", file, err)
	}
	return s, nil
}

// Layout opens an OCI image layout, a folder, in the same way.
func Layout(ctx context.Context, dir, name string, want v1.Platform) (Source, error) {
	t, err := openFolder(dir)
	if err != nil {
		return nil, fmt.Errorf("reading the OCI layout %s: %w", dir, err)
	}
	if _, ok := t.size(indexFile); !ok {
		return nil, fmt.Errorf("reading the OCI layout %s: there is no %s in it", dir, indexFile)
	}
	s, err := sourceOf(ctx, t, name, want)
	if err != nil {
		return nil, fmt.Errorf("reading the OCI layout %s: %w", dir, err)
	}
	return s, nil
}

func sourceOf(ctx context.Context, t tree, name string, want v1.Platform) (*files, error) {
	s := &files{tree: t, layer: map[v1.Hash]string{}}
	_, oci := t.size(indexFile)
	_, docker := t.size(ManifestFile)
	var err error
	switch {
	case oci:
		err = s.readIndex(want)
	case docker:
		err = s.readDocker(ctx, want)
	default:
		err = errors.New("it is neither an OCI layout nor what a container engine saves")
	}
	if err == nil && docker {
		s.addDockerNames()
	}
	if err == nil {
		err = s.name(name)
	}
	return s, err
}

func (s *files) Images() []*Image { return s.images }

func (s *files) Read(ctx context.Context, wanted map[v1.Hash]bool, put func(l Layer, r io.Reader) error) error {
	names, layers := map[string]bool{}, map[string]Layer{}
	for _, img := range s.images {
		for _, l := range img.Layers {
			if wanted[l.Digest] {
				names[s.layer[l.Digest]], layers[s.layer[l.Digest]] = true, l
			}
		}
	}
	return s.tree.read(ctx, names, func(name string, r io.Reader) error {
		if err := put(layers[name], Verify(r, layers[name])); err != nil {
			return fmt.Errorf("layer %s: %w", layers[name].Digest, err)
		}
		return nil
	})
}

// name sees that all images have names.
func (s *files) name(name string) error {
	if len(s.images) == 0 {
		return errors.New("it holds no image")
	}
	for _, img := range s.images {
		if len(img.Names) > 0 {
			continue
		}
		if name == "" {
			return fmt.Errorf("image %s has no name: give it one with --name", img.ID)
		}
		if len(s.images) > 1 {
			return errors.New("it holds several images, so that one name does not do")
		}
		whole, err := WholeName(name)
		if err != nil {
			return err
		}
		img.Names = []string{whole}
	}
	return nil
}

// add adds an image, or further names of one that is there.
func (s *files) add(img *Image) {
	i := slices.IndexFunc(s.images, func(o *Image) bool {
		return o.ID == img.ID && bytes.Equal(o.Manifest, img.Manifest)
	})
	if i < 0 {
		s.images = append(s.images, img)
		return
	}
	for _, n := range img.Names {
		if !slices.Contains(s.images[i].Names, n) {
			s.images[i].Names = append(s.images[i].Names, n)
		}
	}
}

// readDocker reads manifest.json.
func (s *files) readDocker(ctx context.Context, want v1.Platform) error {
	entries, err := s.entries()
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := s.readEntry(ctx, e, want); err != nil {
			return fmt.Errorf("image %s: %w", strings.Join(append(e.RepoTags, e.Config)[:1], ""), err)
		}
	}
	return nil
}

func (s *files) entries() (list []entry, err error) {
	text, err := s.tree.text(ManifestFile)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("%s: %w", ManifestFile, err)
	}
	return list, nil
}

func (s *files) readEntry(ctx context.Context, e entry, want v1.Platform) error {
	config, err := s.tree.text(e.Config)
	if err != nil {
		return fmt.Errorf("its configuration: %w", err)
	}
	img := &Image{Layers: make([]Layer, len(e.Layers))}
	if img.ID, err = v1.NewHash(digest.FromBytes(config).String()); err != nil {
		return err
	}
	if img.Names, err = wholeNames(e.RepoTags); err != nil {
		return err
	}
	if err := img.setConfig(config); err != nil {
		return err
	}
	if err := checkConfig(img, want); err != nil {
		return err
	}
	for i, name := range e.Layers {
		if err := s.dockerLayer(ctx, &img.Layers[i], name); err != nil {
			return fmt.Errorf("its layer %d: %w", i+1, err)
		}
	}
	s.add(img)
	return nil
}

func checkConfig(img *Image, want v1.Platform) error {
	config, err := parseConfig(img.Config)
	if err != nil {
		return err
	}
	return CheckPlatform(img.label(), v1.Platform{OS: config.OS, Architecture: config.Architecture, Variant: config.Variant}, want)
}

// dockerLayer describes a layer's file, of which an archive of docker's says nothing.
func (s *files) dockerLayer(ctx context.Context, l *Layer, name string) error {
	head, err := s.tree.head(name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	l.Size, _ = s.tree.size(name)
	switch c := compression(head); c {
	case "":
		l.Digest, l.Media = l.DiffID, types.DockerUncompressedLayer
	case "gzip":
		l.Media = types.DockerLayer
		if l.Digest, err = s.hash(ctx, name, l.DiffID); err != nil {
			return err
		}
	default:
		return fmt.Errorf("%s is compressed with %s, which is not supported here", name, c)
	}
	s.layer[l.Digest] = name
	return nil
}

// hash gives the digest of a layer that is compressed with gzip, and sees that it is
// what its diff ID says.
func (s *files) hash(ctx context.Context, name string, diffID v1.Hash) (v1.Hash, error) {
	packed, plain := digest.Canonical.Digester(), digest.Canonical.Digester()
	err := s.tree.read(ctx, map[string]bool{name: true}, func(_ string, r io.Reader) error {
		all := io.TeeReader(r, packed.Hash())
		unzip, err := gzip.NewReader(all)
		if err == nil {
			_, err = io.Copy(plain.Hash(), unzip)
		}
		if err == nil {
			_, err = io.Copy(io.Discard, all)
		}
		return err
	})
	if err != nil || plain.Digest().String() != diffID.String() {
		return v1.Hash{}, errors.Join(fmt.Errorf("%s: %w", name, errDigest), err)
	}
	return v1.NewHash(packed.Digest().String())
}

// addDockerNames gives images of a layout the names that docker's manifest.json says.
func (s *files) addDockerNames() {
	entries, err := s.entries()
	if err != nil {
		return
	}
	for _, img := range s.images {
		for _, e := range entries {
			text, err := s.tree.text(e.Config)
			if err != nil || len(img.Names) > 0 || digest.FromBytes(text).String() != img.ID.String() {
				continue
			}
			img.Names, _ = wholeNames(e.RepoTags)
		}
	}
}
