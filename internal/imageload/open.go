package imageload

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/kluster-project/kluster/internal/pieces"
)

// Opener is a source whose layers may lie in files, to be read by several at once.
type Opener interface {
	// Open opens the layers whose digest is wanted. errors.ErrUnsupported says that only
	// Read can read them. Afterwards all is known of the images.
	Open(ctx context.Context, wanted map[v1.Hash]bool) (Opened, error)
}

// Opened is layers in files. What is read of them is not compared with digests: that is
// for those who take it.
type Opened interface {
	// Layer reads one of the layers that were wanted.
	Layer(ctx context.Context, l Layer) pieces.Seq
	io.Closer
}

// Pieces is what a Stream writes, with those layers that are wanted, of each image from
// the lowest up. When ctx has ended nothing comes that would make images of them.
func Pieces(ctx context.Context, all []*Image, wanted map[v1.Hash]bool, from Opened) pieces.Seq {
	return func(yield func(pieces.Piece, error) bool) {
		var text bytes.Buffer
		s := NewStream(&text, all)
		for _, l := range layersOf(all, wanted) {
			text.Reset()
			_, err := s.Layer(l)
			if !yield(pieces.Piece{Text: text.Bytes()}, err) || err != nil || !layer(ctx, l, from.Layer(ctx, l), yield) {
				return
			}
		}
		if err := context.Cause(ctx); err != nil {
			yield(pieces.Piece{}, err)
			return
		}
		text.Reset()
		err := s.Close(all)
		yield(pieces.Piece{Text: text.Bytes()}, err)
	}
}

// layer passes on the pieces of a layer, which must come to its size, as long as ctx lasts.
func layer(ctx context.Context, l Layer, content pieces.Seq, yield func(pieces.Piece, error) bool) bool {
	left := l.Size
	for p, err := range content {
		left -= int64(len(p.Text)) + p.Size
		switch {
		case ctx.Err() != nil:
			err = context.Cause(ctx)
		case err == nil && left < 0:
			err = errDigest
		}
		if err != nil {
			err = fmt.Errorf("layer %s: %w", l.Digest, err)
		}
		if !yield(p, err) || err != nil {
			return false
		}
	}
	if left != 0 {
		yield(pieces.Piece{}, fmt.Errorf("layer %s: %w", l.Digest, errDigest))
	}
	return left == 0
}

// layersOf are those that are wanted, each once.
func layersOf(all []*Image, wanted map[v1.Hash]bool) (layers []Layer) {
	had := map[v1.Hash]bool{}
	for _, img := range all {
		for _, l := range img.Layers {
			if wanted[l.Digest] && !had[l.Digest] {
				had[l.Digest] = true
				layers = append(layers, l)
			}
		}
	}
	return layers
}

// Open implements Opener.
func (s *files) Open(context.Context, map[v1.Hash]bool) (Opened, error) {
	shared, err := s.tree.share()
	if err != nil {
		return nil, err
	}
	return openFiles{s, shared}, nil
}

// openFiles is layers in a tree.
type openFiles struct {
	*files
	shared
}

func (o openFiles) Layer(_ context.Context, l Layer) pieces.Seq { return o.content(o.layer[l.Digest]) }

// shared is a tree that several read at once.
type shared interface {
	// content reads a file, as one piece.
	content(name string) pieces.Seq
	io.Closer
}

func (t *archiveTree) share() (shared, error) {
	if t.once {
		return nil, errors.ErrUnsupported
	}
	f, err := os.Open(t.path)
	if err != nil {
		return nil, err
	}
	return sharedArchive{t, f}, nil
}

type sharedArchive struct {
	*archiveTree
	*os.File
}

func (t sharedArchive) content(name string) pieces.Seq {
	file := t.files[t.real(name)]
	return func(yield func(pieces.Piece, error) bool) {
		yield(pieces.Piece{File: t.File, Offset: file.at, Size: file.size}, nil)
	}
}

func (t folderTree) share() (shared, error) { return t, nil }

func (t folderTree) content(name string) pieces.Seq {
	return func(yield func(pieces.Piece, error) bool) {
		f, err := t.open(name)
		if err != nil {
			yield(pieces.Piece{}, err)
			return
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			yield(pieces.Piece{}, err)
			return
		}
		yield(pieces.Piece{File: f, Size: info.Size()}, nil)
	}
}

// Close leaves the folder as it is, for other reads.
func (t folderTree) Close() error { return nil }
