package nodeimage

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// ociLayout is an OCI layout of images: two small files, and blobs.
type ociLayout struct {
	version, index []byte
	docker         []byte // what "docker load" asks for besides
	blobs          []blob
}

// blob is a layer, which lies in a file, or a small text.
type blob struct {
	hex  string // of its sha256
	path string // "" if it is data
	data []byte
	size int64
}

// layoutOf describes images under the names by which containerd imports them.
func layoutOf(images []clusterImage) (ociLayout, error) {
	l := ociLayout{version: layoutVersion}
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	var entries []dockerEntry
	seen := map[string]bool{}
	for _, img := range images {
		desc, blobs, err := describe(img)
		if err != nil {
			return l, fmt.Errorf("image %s: %w", img.spec.Ref, err)
		}
		index.Manifests = append(index.Manifests, desc)
		entry, err := dockerEntryOf(img)
		if err != nil {
			return l, fmt.Errorf("image %s: %w", img.spec.Ref, err)
		}
		entries = append(entries, entry)
		for _, b := range blobs {
			if !seen[b.hex] {
				l.blobs = append(l.blobs, b)
			}
			seen[b.hex] = true
		}
	}
	var err error
	if l.index, err = json.Marshal(index); err == nil {
		l.docker, err = json.Marshal(entries)
	}
	return l, err
}

// dockerEntry is an image in the manifest.json that "docker load" reads.
type dockerEntry struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func dockerEntryOf(img clusterImage) (dockerEntry, error) {
	config, err := img.image.RawConfigFile()
	if err != nil {
		return dockerEntry{}, err
	}
	e := dockerEntry{Config: blobName(digestOf(config)), RepoTags: []string{img.spec.Ref}}
	for _, l := range img.layers {
		e.Layers = append(e.Layers, blobName(l.meta.DiffID.String()))
	}
	return e, nil
}

// blobName is where a blob lies in a layout.
func blobName(digest string) string { return "blobs/" + strings.Replace(digest, ":", "/", 1) }

// describe gives an image's entry of the index, and its blobs.
func describe(img clusterImage) (v1.Descriptor, []blob, error) {
	var blobs []blob
	for _, l := range img.layers {
		blobs = append(blobs, blob{hex: l.meta.DiffID.Hex, path: l.path, size: l.meta.Size})
	}
	config, err := img.image.RawConfigFile()
	if err != nil {
		return v1.Descriptor{}, nil, err
	}
	manifest, err := img.image.RawManifest()
	if err != nil {
		return v1.Descriptor{}, nil, err
	}
	for _, data := range [][]byte{config, manifest} {
		blobs = append(blobs, blob{hex: digestOf(data)[len("sha256:"):], data: data, size: int64(len(data))})
	}
	media, err := img.image.MediaType()
	if err != nil {
		return v1.Descriptor{}, nil, err
	}
	hash, err := v1.NewHash(digestOf(manifest))
	return v1.Descriptor{
		MediaType: media, Digest: hash, Size: int64(len(manifest)),
		Annotations: map[string]string{imageName: img.spec.Ref},
	}, blobs, err
}

// writeLayout makes an OCI layout folder of the images; see save.
func writeLayout(dir string, images []clusterImage) error {
	l, err := layoutOf(images)
	if err != nil {
		return err
	}
	return l.save(dir)
}

// save makes a folder of the layout without copying its layers: these are links to
// the cache's files.
func (l ociLayout) save(dir string) error {
	folder := filepath.Join(dir, "blobs", "sha256")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for _, b := range l.blobs {
		var err error
		at := filepath.Join(folder, b.hex)
		if b.path != "" {
			err = os.Link(b.path, at)
		} else {
			err = os.WriteFile(at, b.data, 0o644)
		}
		if err != nil {
			return err
		}
	}
	for name, data := range map[string][]byte{indexFile: l.index, "manifest.json": l.docker, "oci-layout": l.version} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

const indexFile = "index.json"

// layoutVersion is the text of the file oci-layout.
var layoutVersion = []byte(`{"imageLayoutVersion":"1.0.0"}`)

// imageName is the annotation by which containerd names what it imports.
const imageName = "io.containerd.image.name"
