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
	l := ociLayout{version: []byte(`{"imageLayoutVersion":"1.0.0"}`)}
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
		Annotations: map[string]string{"io.containerd.image.name": img.spec.Ref},
	}, blobs, err
}

// writeLayout makes an OCI layout folder of the images without copying their
// layers: these are links to the cache's files.
func writeLayout(dir string, images []clusterImage) error {
	l, err := layoutOf(images)
	if err != nil {
		return err
	}
	folder := filepath.Join(dir, "blobs", "sha256")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for _, b := range l.blobs {
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
	if err := os.WriteFile(filepath.Join(dir, "index.json"), l.index, 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "manifest.json"), l.docker, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "oci-layout"), l.version, 0o644)
}
