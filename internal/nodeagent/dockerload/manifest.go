package dockerload

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

const (
	manifestFile = "manifest.json"
	indexFile    = "index.json"
	// nameKey is the annotation of an index's entry that holds the image's whole name.
	nameKey = "io.containerd.image.name"
	// maxText bounds what is read into memory.
	maxText = 4 << 20
)

// entry is an image in manifest.json.
type entry struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// missingManifest gives the manifest.json that an OCI layout lacks; nil if the
// archive has one.
func missingManifest(file *os.File) ([]byte, error) {
	texts := map[string][]byte{}
	err := each(file, func(h *tar.Header, r io.Reader) error {
		if h.Typeflag != tar.TypeReg || h.Size > maxText {
			return nil
		}
		text, err := io.ReadAll(r)
		texts[h.Name] = text
		return err
	})
	if err != nil || texts[manifestFile] != nil {
		return nil, err
	}
	if texts[indexFile] == nil {
		return nil, errors.New("it is neither an archive of docker's nor an OCI layout")
	}
	index, err := v1.ParseIndexManifest(bytes.NewReader(texts[indexFile]))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", indexFile, err)
	}
	var all []entry
	for _, m := range index.Manifests {
		e, err := entryOf(m, texts)
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return json.Marshal(all)
}

func entryOf(m v1.Descriptor, texts map[string][]byte) (entry, error) {
	name := m.Annotations[nameKey]
	if name == "" {
		return entry{}, fmt.Errorf("image %s has no name (annotation %s)", m.Digest, nameKey)
	}
	manifest, err := v1.ParseManifest(bytes.NewReader(texts[blob(m.Digest)]))
	if err != nil {
		return entry{}, fmt.Errorf("image %s: %w", name, err)
	}
	e := entry{Config: blob(manifest.Config.Digest), RepoTags: []string{name}}
	for _, l := range manifest.Layers {
		e.Layers = append(e.Layers, blob(l.Digest))
	}
	return e, nil
}

func blob(h v1.Hash) string { return path.Join("blobs", h.Algorithm, h.Hex) }
