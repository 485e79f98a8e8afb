package imageload

import (
	"bytes"
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
)

// maxDepth bounds how deep indexes lie in others.
const maxDepth = 4

// readIndex reads the index of an OCI layout.
func (s *files) readIndex(want v1.Platform) error {
	text, err := s.tree.text(indexFile)
	if err != nil {
		return err
	}
	index, err := v1.ParseIndexManifest(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("%s: %w", indexFile, err)
	}
	for _, d := range index.Manifests {
		names, err := namesOf(d)
		if err != nil {
			return err
		}
		picked, err := s.pick(d, want, strings.Join(append(names, d.Digest.String())[:1], ""), maxDepth)
		if err != nil {
			return err
		}
		if picked == nil {
			continue // an attestation
		}
		if err := s.readManifest(*picked, names, want); err != nil {
			return fmt.Errorf("image %s: %w", picked.Digest, err)
		}
	}
	return nil
}

// namesOf are the names that an index gives an image. A bare tag is none.
func namesOf(d v1.Descriptor) ([]string, error) {
	name := d.Annotations[nameKey]
	if ref := d.Annotations[tagKey]; name == "" && strings.ContainsAny(ref, ":/") {
		name = ref
	}
	if name == "" {
		return nil, nil
	}
	return wholeNames([]string{name})
}

// pick finds the manifest for a platform; nil for what is no image.
func (s *files) pick(d v1.Descriptor, want v1.Platform, name string, depth int) (*v1.Descriptor, error) {
	if !d.MediaType.IsIndex() {
		if isAttestation(d) || !d.MediaType.IsImage() {
			return nil, nil
		}
		return &d, nil
	}
	if depth == 0 {
		return nil, fmt.Errorf("image %s: its indexes lie too deep in each other", name)
	}
	text, err := s.blobText(d)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", name, err)
	}
	index, err := v1.ParseIndexManifest(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("image %s: its index: %w", name, err)
	}
	wrong := &PlatformError{Name: name, Want: show(want)}
	for _, m := range index.Manifests {
		if isAttestation(m) {
			continue
		}
		if m.Platform != nil && CheckPlatform(name, *m.Platform, want) != nil {
			wrong.Have = append(wrong.Have, show(*m.Platform))
			continue
		}
		if _, ok := s.tree.size(blob(m.Digest)); !ok {
			continue // of an image that was saved for some of its platforms
		}
		return s.pick(m, want, name, depth-1)
	}
	if len(wrong.Have) == 0 {
		return nil, fmt.Errorf("image %s: no manifest of its index is there", name)
	}
	return nil, wrong
}

// isAttestation: BuildKit puts what it says of an image beside it, for no platform.
func isAttestation(d v1.Descriptor) bool {
	return d.Platform != nil && d.Platform.OS == "unknown" || d.Annotations["vnd.docker.reference.type"] != ""
}

// blobText reads a small blob, which must be what its digest says.
func (s *files) blobText(d v1.Descriptor) ([]byte, error) {
	if err := valid(d); err != nil {
		return nil, err
	}
	text, err := s.tree.text(blob(d.Digest))
	if err != nil {
		return nil, err
	}
	if digest.FromBytes(text).String() != d.Digest.String() {
		return nil, fmt.Errorf("%s: %w", blob(d.Digest), errDigest)
	}
	return text, nil
}

func valid(d v1.Descriptor) error {
	if err := digest.Digest(d.Digest.String()).Validate(); err != nil || d.Digest.Algorithm != "sha256" {
		return fmt.Errorf("%q is no SHA-256 digest", d.Digest)
	}
	return nil
}

func (s *files) readManifest(d v1.Descriptor, names []string, want v1.Platform) error {
	text, err := s.blobText(d)
	if err != nil {
		return fmt.Errorf("its manifest: %w", err)
	}
	m, err := v1.ParseManifest(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("its manifest: %w", err)
	}
	config, err := s.blobText(m.Config)
	if err != nil {
		return fmt.Errorf("its configuration: %w", err)
	}
	img := &Image{Names: names, ID: m.Config.Digest, Manifest: text, Media: d.MediaType, Layers: make([]Layer, len(m.Layers))}
	if err := img.setConfig(config); err != nil {
		return err
	}
	if err := checkConfig(img, want); err != nil {
		return err
	}
	for i, l := range m.Layers {
		if err := s.ociLayer(&img.Layers[i], l); err != nil {
			return fmt.Errorf("its layer %d: %w", i+1, err)
		}
	}
	s.add(img)
	return nil
}

func (s *files) ociLayer(l *Layer, d v1.Descriptor) error {
	if err := valid(d); err != nil {
		return err
	}
	size, ok := s.tree.size(blob(d.Digest))
	if !ok {
		return fmt.Errorf("%s: %w", blob(d.Digest), errNoFile)
	}
	if size != d.Size {
		return fmt.Errorf("%s has %d bytes, not the %d of the manifest", blob(d.Digest), size, d.Size)
	}
	l.Digest, l.Size, l.Media = d.Digest, d.Size, d.MediaType
	if l.Media == "" {
		l.Media = types.OCILayer
	}
	s.layer[l.Digest] = blob(d.Digest)
	return nil
}
