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

	"github.com/opencontainers/go-digest"
	"go.podman.io/storage"
)

const (
	// planFile is the first file of a stream; see plan.
	planFile = "layers.json"
	// layerMark is the owner's name, in a stream, of a file that is a layer.
	layerMark = "layer"
	// maxPlan bounds the plan.
	maxPlan = 4 << 20
)

// planned is a layer as the stream's plan has it, one list for each image and in each
// the lowest layer first.
type planned struct {
	File   string        `json:"file"`
	DiffID digest.Digest `json:"diffID"`
}

// importLayered imports a stream of images whose layers the store takes while they are
// read: those, at least, that lie on layers which the store has by then. The others,
// and the small files, are laid into a folder, which then is imported as an OCI layout.
func importLayered(ctx context.Context, store storage.Store, r io.Reader, dir string) (err error) {
	s := &stream{store: store, dir: dir, layers: map[string]place{}}
	defer func() {
		if err != nil {
			s.undo()
		}
	}()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if s.root, err = os.OpenRoot(dir); err != nil {
		return err
	}
	defer s.root.Close()
	for files := tar.NewReader(r); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = s.file(h, files)
		}
		if err != nil {
			return fmt.Errorf("reading the stream: %w", err)
		}
	}
	return importFolder(ctx, store, dir)
}

type stream struct {
	store  storage.Store
	dir    string
	root   *os.Root
	layers map[string]place // by the name of the file
	made   []string         // IDs of layers
}

// place is where in the store a layer goes.
type place struct {
	id, parent string
	diffID     digest.Digest
}

func (s *stream) file(h *tar.Header, r io.Reader) error {
	name := path.Clean(h.Name)
	switch l, known := s.layers[name]; {
	case name == planFile:
		return s.plan(r)
	case h.Uname == layerMark && known && (l.parent == "" || s.store.Exists(l.parent)):
		return s.put(l, digest.Digest("sha256:"+path.Base(name)), h.Size, r)
	case h.Typeflag != tar.TypeReg:
		return nil
	}
	if err := s.root.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := s.root.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}

// plan says which ID each layer will have: that which an import would give it.
func (s *stream) plan(r io.Reader) error {
	var images [][]planned
	if err := json.NewDecoder(io.LimitReader(r, maxPlan)).Decode(&images); err != nil {
		return fmt.Errorf("its plan: %w", err)
	}
	for _, layers := range images {
		parent := ""
		for _, l := range layers {
			if err := l.DiffID.Validate(); err != nil {
				return fmt.Errorf("its plan: %w", err)
			}
			id := l.DiffID.Encoded()
			if parent != "" {
				id = digest.Canonical.FromString(parent + "+" + id).Encoded()
			}
			s.layers[path.Clean(l.File)] = place{id, parent, l.DiffID}
			parent = id
		}
	}
	return nil
}

// put makes a layer of the store, and sees that it is what it was said to be.
func (s *stream) put(l place, blob digest.Digest, size int64, r io.Reader) error {
	sum := digest.Canonical.Digester()
	all := io.TeeReader(r, sum.Hash())
	options := &storage.LayerOptions{OriginalDigest: blob, OriginalSize: &size}
	if blob == l.diffID {
		options.UncompressedDigest = blob // seen to below
	}
	layer, _, err := s.store.PutLayer(l.id, l.parent, nil, "", false, options, all)
	if errors.Is(err, storage.ErrDuplicateID) {
		_, err = io.Copy(io.Discard, r)
		return err
	}
	if err != nil {
		return fmt.Errorf("layer %s: %w", l.diffID, err)
	}
	s.made = append(s.made, l.id)
	if _, err := io.Copy(io.Discard, all); err != nil {
		return fmt.Errorf("layer %s: %w", l.diffID, err)
	}
	if sum.Digest() != blob || layer.UncompressedDigest != l.diffID {
		return fmt.Errorf("layer %s: what came is %s", l.diffID, layer.UncompressedDigest)
	}
	return nil
}

// undo removes the layers that no image has.
func (s *stream) undo() {
	for i := len(s.made) - 1; i >= 0; i-- {
		_ = s.store.DeleteLayer(s.made[i]) // it may have become an image's
	}
}
