package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// nameKey is the annotation of an index's entry that holds the image's whole name.
const nameKey = "io.containerd.image.name"

// image is an entry of a layout's index.
type image struct {
	name     string
	path     string // of its repository, without the registry's host
	tag      string
	digest   v1.Hash
	media    string
	manifest []byte
}

// readLayout lists the images of an OCI layout folder.
func readLayout(dir string) ([]image, error) {
	data, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		return nil, fmt.Errorf("reading the images to serve: %w", err)
	}
	index, err := v1.ParseIndexManifest(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("reading the images to serve: %s: %w", filepath.Join(dir, "index.json"), err)
	}
	var images []image
	for _, entry := range index.Manifests {
		img, err := readImage(dir, entry)
		if err != nil {
			return nil, fmt.Errorf("reading the images to serve: %w", err)
		}
		if i := slices.IndexFunc(images, func(o image) bool { return o.path == img.path && o.tag == img.tag }); i >= 0 {
			return nil, fmt.Errorf("reading the images to serve: %s and %s would have one name here", images[i].name, img.name)
		}
		images = append(images, img)
	}
	if len(images) == 0 {
		return nil, fmt.Errorf("reading the images to serve: %s lists none", filepath.Join(dir, "index.json"))
	}
	return images, nil
}

// readImage reads an image's manifest, and sees that its blobs are there.
func readImage(dir string, entry v1.Descriptor) (image, error) {
	tag, err := name.NewTag(entry.Annotations[nameKey], name.StrictValidation)
	if err != nil {
		return image{}, fmt.Errorf("annotation %s of %s: %w", nameKey, entry.Digest, err)
	}
	img := image{
		name: tag.Name(), path: tag.RepositoryStr(), tag: tag.TagStr(), digest: entry.Digest, media: string(entry.MediaType),
	}
	if img.manifest, err = os.ReadFile(blobPath(dir, entry.Digest)); err != nil {
		return image{}, fmt.Errorf("image %s: %w", img.name, err)
	}
	if got, _, err := v1.SHA256(bytes.NewReader(img.manifest)); err != nil || got != entry.Digest {
		return image{}, fmt.Errorf("image %s: its manifest has the digest %s, not %s", img.name, got, entry.Digest)
	}
	manifest, err := v1.ParseManifest(bytes.NewReader(img.manifest))
	if err != nil {
		return image{}, fmt.Errorf("image %s: its manifest: %w", img.name, err)
	}
	for _, blob := range append(manifest.Layers, manifest.Config) {
		if _, err := os.Stat(blobPath(dir, blob.Digest)); err != nil {
			return image{}, fmt.Errorf("image %s: %w", img.name, err)
		}
	}
	return img, nil
}

// put gives the manifest to a registry, which then knows it by tag and by digest.
func (i image) put(h http.Handler) error {
	url := "/v2/" + i.path + "/manifests/" + i.tag
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPut, url, bytes.NewReader(i.manifest))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", i.media)
	var said answer
	h.ServeHTTP(&said, req)
	if said.code != http.StatusCreated {
		return fmt.Errorf("the registry answers %d: %s", said.code, strings.TrimSpace(said.body.String()))
	}
	return nil
}

// answer is what a handler said.
type answer struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header {
	if a.header == nil {
		a.header = http.Header{}
	}
	return a.header
}

func (a *answer) WriteHeader(code int) { a.code = code }

func (a *answer) Write(p []byte) (int, error) { return a.body.Write(p) }

// blobs are the blobs of an OCI layout folder, of every repository.
type blobs string

var (
	_ registry.BlobHandler     = blobs("")
	_ registry.BlobStatHandler = blobs("")
)

// Get implements registry.BlobHandler.
func (b blobs) Get(_ context.Context, _ string, h v1.Hash) (io.ReadCloser, error) {
	f, err := os.Open(blobPath(string(b), h))
	if err != nil {
		return nil, notFound(err)
	}
	return f, nil
}

// Stat implements registry.BlobStatHandler. It does not verify: clients do.
func (b blobs) Stat(_ context.Context, _ string, h v1.Hash) (int64, error) {
	info, err := os.Stat(blobPath(string(b), h))
	if err != nil {
		return 0, notFound(err)
	}
	return info.Size(), nil
}

func notFound(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return registry.ErrNotFound
	}
	return err
}

func blobPath(dir string, h v1.Hash) string { return filepath.Join(dir, "blobs", h.Algorithm, h.Hex) }
