package harness

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// LayerKeys finds private keys in an image, layer by layer: what a later layer deletes is
// still there for whoever has the image. A key is found where it begins a line of its own,
// for programs have these words, too.
func (e *Engine) LayerKeys(ctx context.Context, image string) ([]string, error) {
	saved, err := e.API.ImageSave(ctx, []string{image})
	if err != nil {
		return nil, err
	}
	defer saved.Close()
	return layerKeys(saved)
}

// layerKeys reads an image as an engine saves it, and gives the paths of files with keys
// as their layers have them.
func layerKeys(saved io.Reader) ([]string, error) {
	var found []string
	layers := 0
	for archive := tar.NewReader(saved); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("reading the saved image: %w", err)
		}
		layer, err := openLayer(archive)
		if err != nil || layer == nil || h.Typeflag != tar.TypeReg {
			continue // not a layer
		}
		layers++
		files, err := keysIn(layer)
		if err != nil {
			return nil, fmt.Errorf("reading layer %s: %w", h.Name, err)
		}
		found = append(found, files...)
	}
	if layers == 0 {
		return nil, errors.New("the saved image has no layers")
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}

// tarMagic is at an offset of each header of a tar.
const (
	tarMagic  = "ustar"
	tarOffset = 257
)

// peeked is what is read to see whether something is a tar.
const peeked = 512

// openLayer is a layer's tar, nil if it is none. Engines name layers in several ways, and
// some have them compressed.
func openLayer(r io.Reader) (*tar.Reader, error) {
	head, rest, err := peek(r)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(head, []byte{0x1f, 0x8b}) {
		plain, err := gzip.NewReader(rest)
		if err != nil {
			return nil, err
		}
		if head, rest, err = peek(plain); err != nil {
			return nil, err
		}
	}
	if len(head) < peeked || !bytes.HasPrefix(head[tarOffset:], []byte(tarMagic)) {
		return nil, nil
	}
	return tar.NewReader(rest), nil
}

func peek(r io.Reader) (head []byte, rest io.Reader, err error) {
	head = make([]byte, peeked)
	n, err := io.ReadFull(r, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	head = head[:n]
	return head, io.MultiReader(bytes.NewReader(head), r), nil
}

func keysIn(layer *tar.Reader) ([]string, error) {
	var found []string
	for {
		h, err := layer.Next()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		has, err := hasKey(layer)
		if err != nil {
			return nil, err
		}
		if has {
			found = append(found, path.Join("/", h.Name))
		}
	}
}

// The words that a key begins with: whole lines, whatever kind of key it is.
const (
	keyBegins = "-----BEGIN "
	keyEnds   = "PRIVATE KEY-----"
	// longestKind bounds what stands between them.
	longestKind = 32
)

// hasKey says whether a text has the first line of a private key.
func hasKey(r io.Reader) (bool, error) {
	const overlap = 2 + len(keyBegins) + longestKind + len(keyEnds)
	buf := make([]byte, 0, 1<<20)
	buf = append(buf, '\n') // the first line begins, too
	for {
		n, err := io.ReadFull(r, buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !last {
			return false, err
		}
		if last {
			buf = append(buf, '\n')
		}
		if keyLine(buf) {
			return true, nil
		}
		if last {
			return false, nil
		}
		buf = append(buf[:0], buf[len(buf)-overlap:]...)
	}
}

// keyLine looks for the whole line.
func keyLine(text []byte) bool {
	for {
		at := bytes.Index(text, []byte("\n"+keyBegins))
		if at < 0 {
			return false
		}
		text = text[at+1:]
		line, _, whole := bytes.Cut(text[:min(len(text), len(keyBegins)+longestKind+len(keyEnds)+1)], []byte("\n"))
		kind, is := strings.CutSuffix(strings.TrimPrefix(string(line), keyBegins), keyEnds)
		if whole && is && strings.Trim(kind, "ABCDEFGHIJKLMNOPQRSTUVWXYZ ") == "" {
			return true
		}
	}
}
