package imageload

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// tree is files that hold images.
type tree interface {
	// size gives the bytes of a file; false if there is no such file.
	size(name string) (int64, bool)
	// text reads a small file, and head the first bytes of any.
	text(name string) ([]byte, error)
	head(name string) ([]byte, error)
	// read gives do each of the named files once, in the order that is cheapest.
	read(ctx context.Context, names map[string]bool, do func(name string, r io.Reader) error) error
	// share lets several read at once; errors.ErrUnsupported where files must be read
	// one after the other.
	share() (shared, error)
}

const (
	// maxText bounds what is a small file, and maxTexts what an archive's come to.
	maxText  = 4 << 20
	maxTexts = 64 << 20
	// headSize is enough to tell how a file is compressed.
	headSize = 8
	// maxLinks bounds how many links are followed.
	maxLinks = 8
)

var errNoFile = errors.New("it is not there")

// archiveTree is a tar file, which may be compressed with gzip. What it holds is
// learnt once; layers are read in its own order.
type archiveTree struct {
	path  string
	files map[string]archived
	links map[string]string
	// once: not all files lie in it as they are.
	once bool
}

type archived struct {
	size int64
	at   int64  // where it begins, if the archive is not compressed
	text []byte // all of a small file, else its head
}

// openArchive lists what a tar file holds.
func openArchive(ctx context.Context, file string) (*archiveTree, error) {
	t := &archiveTree{path: file, files: map[string]archived{}, links: map[string]string{}}
	kept := int64(0)
	err := t.each(ctx, func(h *tar.Header, at int64, r io.Reader) error {
		name := path.Clean(h.Name)
		t.once = t.once || at < 0
		switch h.Typeflag {
		case tar.TypeSymlink:
			t.links[name] = path.Join(path.Dir(name), h.Linkname)
		case tar.TypeLink:
			t.links[name] = path.Clean(h.Linkname)
		case tar.TypeReg:
			keep := h.Size
			if keep > maxText || kept+keep > maxTexts {
				keep = min(headSize, keep)
			}
			kept += keep
			text, err := io.ReadAll(io.LimitReader(r, keep))
			t.files[name] = archived{h.Size, at, text}
			return err
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the archive %s: %w", file, err)
	}
	if len(t.files) == 0 {
		return nil, fmt.Errorf("reading the archive %s: it holds no files", file)
	}
	return t, nil
}

// each calls do with every entry, and where its content begins in the file: -1 if it does
// not lie there as it is.
func (t *archiveTree) each(ctx context.Context, do func(h *tar.Header, at int64, r io.Reader) error) error {
	f, err := os.Open(t.path)
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := plain(f)
	if err != nil {
		return err
	}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		at := int64(-1)
		if r == f && !sparse(h) { // what reads headers reads no more than those
			at, err = f.Seek(0, io.SeekCurrent)
		}
		if err == nil {
			err = do(h, at, tr)
		}
		if err != nil {
			return err
		}
	}
}

// sparse says whether parts of a file are left out in the archive.
func sparse(h *tar.Header) bool {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return h.Typeflag == tar.TypeGNUSparse
}

// plain takes a file's compression away. One without is given as it is, for then what
// is not wanted of it is not read.
func plain(f *os.File) (io.Reader, error) {
	head := make([]byte, headSize)
	n, err := io.ReadFull(f, head)
	if n == 0 {
		if errors.Is(err, io.EOF) {
			err = errors.New("the file is empty")
		}
		return nil, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	switch c := compression(head[:n]); c {
	case "":
		return f, nil
	case "gzip":
		return gzip.NewReader(bufio.NewReaderSize(f, 1<<20))
	default:
		return nil, fmt.Errorf("it is compressed with %s: decompress it first", c)
	}
}

// compression names how content is compressed that begins so, "" if it is not.
func compression(head []byte) string {
	for _, c := range []struct{ name, magic string }{
		{"gzip", "\x1f\x8b"}, {"zstd", "\x28\xb5\x2f\xfd"}, {"xz", "\xfd7zXZ\x00"}, {"bzip2", "BZh"},
	} {
		if bytes.HasPrefix(head, []byte(c.magic)) {
			return c.name
		}
	}
	return ""
}

// real follows links.
func (t *archiveTree) real(name string) string {
	name = path.Clean(name)
	for range maxLinks {
		to, linked := t.links[name]
		if !linked {
			break
		}
		name = to
	}
	return name
}

func (t *archiveTree) size(name string) (int64, bool) {
	f, ok := t.files[t.real(name)]
	return f.size, ok
}

func (t *archiveTree) text(name string) ([]byte, error) {
	f, ok := t.files[t.real(name)]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, errNoFile)
	}
	if int64(len(f.text)) != f.size {
		return nil, fmt.Errorf("%s: it has %d bytes, which is too long", name, f.size)
	}
	return f.text, nil
}

func (t *archiveTree) head(name string) ([]byte, error) {
	f, ok := t.files[t.real(name)]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, errNoFile)
	}
	return f.text[:min(headSize, len(f.text))], nil
}

func (t *archiveTree) read(ctx context.Context, names map[string]bool, do func(name string, r io.Reader) error) error {
	wanted := map[string][]string{}
	for name := range names {
		wanted[t.real(name)] = append(wanted[t.real(name)], name)
	}
	return t.each(ctx, func(h *tar.Header, _ int64, r io.Reader) error {
		name := path.Clean(h.Name)
		if h.Typeflag != tar.TypeReg || len(wanted[name]) == 0 {
			return nil
		}
		as := wanted[name][0] // links to one file have one content, which is given once
		delete(wanted, name)
		return do(as, r)
	})
}

// folderTree is a folder. Nothing outside of it is read, whatever links say.
type folderTree struct{ root *os.Root }

func openFolder(dir string) (folderTree, error) {
	root, err := os.OpenRoot(dir)
	return folderTree{root}, err
}

func (t folderTree) size(name string) (int64, bool) {
	info, err := t.root.Stat(filepath.FromSlash(path.Clean(name)))
	if err != nil || !info.Mode().IsRegular() {
		return 0, false
	}
	return info.Size(), true
}

func (t folderTree) text(name string) ([]byte, error) {
	size, ok := t.size(name)
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, errNoFile)
	}
	if size > maxText {
		return nil, fmt.Errorf("%s: it has %d bytes, which is too long", name, size)
	}
	return t.first(name, maxText)
}

func (t folderTree) head(name string) ([]byte, error) { return t.first(name, headSize) }

func (t folderTree) first(name string, n int64) ([]byte, error) {
	f, err := t.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, n))
}

func (t folderTree) open(name string) (*os.File, error) {
	f, err := t.root.Open(filepath.FromSlash(path.Clean(strings.TrimPrefix(name, "/"))))
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%s: %w", name, errNoFile)
	}
	return f, err
}

func (t folderTree) read(ctx context.Context, names map[string]bool, do func(name string, r io.Reader) error) error {
	for name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := t.readOne(name, do); err != nil {
			return err
		}
	}
	return nil
}

func (t folderTree) readOne(name string, do func(name string, r io.Reader) error) error {
	f, err := t.open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return do(name, f)
}
