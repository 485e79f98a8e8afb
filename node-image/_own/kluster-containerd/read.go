package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"github.com/containerd/containerd/v2/pkg/archive"
	"github.com/opencontainers/go-digest"
)

const (
	// planFile says which layers lie on which.
	planFile = "layers.json"
	// layerMark is the owner's name, in the stream, of a file that is a layer.
	layerMark = "layer"
	// maxTexts bounds what the other files come to, which are kept in memory.
	maxTexts = 64 << 20
)

// content is what was read.
type content struct {
	texts  []text
	layers map[string]*layer // by the name of the file
}

// text is a small file.
type text struct {
	name string
	data []byte
}

// layer is one that was unpacked.
type layer struct {
	dir    string // has its files; "" when a snapshot has them
	diffID string
	// implied are the folders that the layer has files in but does not name, outer ones
	// first: they are as the layers below have them.
	implied []string
}

// read unpacks the layers of a stream below dir.
func read(ctx context.Context, r io.Reader, dir string) (*content, error) {
	c := &content{layers: map[string]*layer{}}
	left := int64(maxTexts)
	for files := tar.NewReader(bufio.NewReaderSize(r, 1<<20)); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return c, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading the stream: %w", err)
		}
		name := path.Clean(h.Name)
		if h.Uname == layerMark {
			l := &layer{dir: filepath.Join(dir, path.Base(name))}
			if err := l.unpack(ctx, files); err != nil {
				return nil, fmt.Errorf("unpacking layer %s: %w", path.Base(name), err)
			}
			c.layers[name] = l
			continue
		}
		if name == planFile {
			continue // all is unpacked before anything is laid on anything
		}
		if left -= h.Size; left < 0 {
			return nil, errors.New("reading the stream: it has too many small files")
		}
		data, err := io.ReadAll(files)
		if err != nil {
			return nil, fmt.Errorf("reading the stream: %w", err)
		}
		c.texts = append(c.texts, text{name, data})
	}
}

// unpack unpacks a layer into a new folder, as the upper folder of an overlay.
func (l *layer) unpack(ctx context.Context, r io.Reader) error {
	if err := os.MkdirAll(l.dir, 0o755); err != nil {
		return err
	}
	plain, err := decompressed(r)
	if err != nil {
		return err
	}
	sum := digest.Canonical.Digester()
	all := io.TeeReader(plain, sum.Hash())
	_, err = archive.Apply(ctx, l.dir, all,
		archive.WithConvertWhiteout(archive.OverlayConvertWhiteout), archive.WithFilter(l.noteImplied(map[string]bool{".": true})))
	if err == nil {
		_, err = io.Copy(io.Discard, all) // what follows the end of a tar file
	}
	l.diffID = sum.Digest().String()
	return err
}

// decompressed takes gzip away where it is.
func decompressed(r io.Reader) (io.Reader, error) {
	ahead := bufio.NewReaderSize(r, 64<<10)
	if head, err := ahead.Peek(2); err != nil || string(head) != "\x1f\x8b" {
		return ahead, nil // too short a layer is for who unpacks it to tell
	}
	return gzip.NewReader(ahead)
}

// noteImplied sees every file of a layer, and notes folders that should have come before.
func (l *layer) noteImplied(named map[string]bool) archive.Filter {
	return func(h *tar.Header) (bool, error) {
		name := path.Clean(strings.TrimPrefix(path.Clean("/"+h.Name), "/"))
		if h.Typeflag == tar.TypeDir {
			named[name] = true
		}
		var missing []string
		for dir := path.Dir(name); !named[dir]; dir = path.Dir(dir) {
			named[dir] = true
			missing = append([]string{dir}, missing...)
		}
		l.implied = append(l.implied, missing...)
		return true, nil
	}
}

func (c *content) text(name string) []byte {
	for _, t := range c.texts {
		if t.name == path.Clean(name) {
			return t.data
		}
	}
	return nil
}

// name imports the small files, which makes the images.
func (c *content) name(ctx context.Context) error {
	var stream bytes.Buffer
	out := tar.NewWriter(&stream)
	for _, t := range c.texts {
		if err := out.WriteHeader(&tar.Header{Name: t.name, Mode: 0o644, Size: int64(len(t.data))}); err != nil {
			return err
		}
		if _, err := out.Write(t.data); err != nil {
			return err
		}
	}
	if err := out.Close(); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "ctr", "--namespace", namespace, "images", "import", "--snapshotter", snapshotter, "-")
	cmd.Stdin = &stream
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("importing what names the images: %w: %s", err, bytes.TrimSpace(said))
	}
	return nil
}
