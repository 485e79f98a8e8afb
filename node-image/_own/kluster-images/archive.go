package main

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"go.podman.io/image/v5/docker/archive"
	"go.podman.io/image/v5/oci/layout"
	"go.podman.io/image/v5/types"
	"go.podman.io/storage"
)

// Annotations of a layout's entries: the image's whole name, and one that need
// only be a tag.
const (
	nameKey = "io.containerd.image.name"
	tagKey  = "org.opencontainers.image.ref.name"
)

// importFolder imports the images of an OCI layout.
func importFolder(ctx context.Context, store storage.Store, dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		return fmt.Errorf("this is neither an OCI layout nor an archive of docker's: %w", err)
	}
	var index struct {
		Manifests []struct {
			Annotations map[string]string `json:"annotations"`
		} `json:"manifests"`
	}
	if err := json.Unmarshal(text, &index); err != nil {
		return fmt.Errorf("reading the layout's index: %w", err)
	}
	var images []named
	for i, m := range index.Manifests {
		name := m.Annotations[nameKey]
		if tag := m.Annotations[tagKey]; name == "" && strings.ContainsAny(tag, ":/") {
			name = tag
		}
		if name == "" {
			return fmt.Errorf("image %d of the layout has no name (annotation %s)", i+1, nameKey)
		}
		from, err := layout.NewIndexReference(dir, i)
		if err != nil {
			return fmt.Errorf("image %s: %w", name, err)
		}
		images = append(images, named{name, from})
	}
	return importAll(ctx, store, images)
}

// importDocker imports the images of an archive of docker's.
func importDocker(ctx context.Context, store storage.Store, file string) (err error) {
	reader, err := archive.NewReader(&types.SystemContext{}, file)
	if err != nil {
		return fmt.Errorf("reading the archive: %w", err)
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	list, err := reader.List()
	if err != nil {
		return fmt.Errorf("reading the archive: %w", err)
	}
	var images []named
	for _, refs := range list {
		for _, from := range refs {
			if from.DockerReference() != nil {
				images = append(images, named{from.DockerReference().String(), from})
			}
		}
	}
	return importAll(ctx, store, images)
}

func save(name string, r io.Reader) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = io.Copy(f, r)
	return err
}

// each calls do with every entry of a tar file, until it fails or says to stop.
func each(file string, do func(h *tar.Header, r io.Reader) (more bool, err error)) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	for tr := tar.NewReader(f); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if more, err := do(h, tr); err != nil || !more {
			return err
		}
	}
}

func hasMember(file, name string) (found bool, err error) {
	err = each(file, func(h *tar.Header, _ io.Reader) (bool, error) {
		found = path.Clean(h.Name) == name
		return !found, nil
	})
	return found, err
}

// unpack writes a tar file's regular files below dir, and none beside it.
func unpack(file, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return each(file, func(h *tar.Header, r io.Reader) (bool, error) {
		if h.Typeflag != tar.TypeReg {
			return true, nil
		}
		name := path.Clean(h.Name)
		if err := root.MkdirAll(path.Dir(name), 0o700); err != nil {
			return false, err
		}
		f, err := root.Create(name)
		if err != nil {
			return false, err
		}
		_, err = io.Copy(f, r)
		return true, errors.Join(err, f.Close())
	})
}
