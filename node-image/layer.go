package nodeimage

import (
	"archive/tar"
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// fileLayer is an uncompressed image layer that lies in a file; its digest is
// therefore its diff ID.
type fileLayer struct {
	path string
	meta layerMeta
}

type layerMeta struct {
	DiffID v1.Hash `json:"diffID"`
	Size   int64   `json:"size"`
}

func (l *fileLayer) Digest() (v1.Hash, error) { return l.meta.DiffID, nil }
func (l *fileLayer) DiffID() (v1.Hash, error) { return l.meta.DiffID, nil }
func (l *fileLayer) Size() (int64, error)     { return l.meta.Size, nil }

func (l *fileLayer) Compressed() (io.ReadCloser, error)   { return os.Open(l.path) }
func (l *fileLayer) Uncompressed() (io.ReadCloser, error) { return os.Open(l.path) }

func (l *fileLayer) MediaType() (types.MediaType, error) { return types.OCIUncompressedLayer, nil }

const (
	layerFile = "layer.tar"
	metaFile  = "layer.json"
)

// openLayer opens the layer that writeLayer made in dir.
func openLayer(dir string) (*fileLayer, error) {
	data, err := os.ReadFile(filepath.Join(dir, metaFile))
	if err != nil {
		return nil, err
	}
	l := &fileLayer{path: filepath.Join(dir, layerFile)}
	if err := json.Unmarshal(data, &l.meta); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	info, err := os.Stat(l.path)
	if err == nil && info.Size() != l.meta.Size {
		err = fmt.Errorf("%s has %d bytes, not %d: remove its folder", l.path, info.Size(), l.meta.Size)
	}
	return l, err
}

// writeLayer makes dir/layer.tar with what fill writes.
func writeLayer(dir string, fill func(*layerWriter) error) (err error) {
	f, err := os.Create(filepath.Join(dir, layerFile))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h, count := sha256.New(), &counter{}
	buf := bufio.NewWriterSize(io.MultiWriter(f, h, count), 1<<20)
	w := &layerWriter{tar: tar.NewWriter(buf), seen: map[string]bool{}}
	if err := fill(w); err != nil {
		return err
	}
	if err := errors.Join(w.tar.Close(), buf.Flush()); err != nil {
		return err
	}
	meta := layerMeta{DiffID: v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}, Size: count.n}
	data, err := json.Marshal(meta)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, metaFile), data, 0o644)
}

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

// layerWriter writes a tar archive that depends on nothing but its content:
// root owns everything, all files are of one time, parents come first.
type layerWriter struct {
	tar  *tar.Writer
	seen map[string]bool
}

// entry copies an entry of another archive under name, with its owner, mode
// and extended attributes.
func (w *layerWriter) entry(h *tar.Header, name string, r io.Reader) error {
	out := *h
	out.Name = name
	if h.Typeflag == tar.TypeDir {
		out.Name += "/"
	}
	out.ModTime, out.AccessTime, out.ChangeTime = time.Unix(sourceDate, 0), time.Time{}, time.Time{}
	out.Uname, out.Gname, out.Format = "", "", tar.FormatPAX
	for k := range out.PAXRecords {
		if !strings.HasPrefix(k, "SCHILY.xattr.") {
			delete(out.PAXRecords, k)
		}
	}
	w.seen[name] = true
	if err := w.tar.WriteHeader(&out); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if h.Typeflag != tar.TypeReg {
		return nil
	}
	_, err := io.Copy(w.tar, r)
	return err
}

func (w *layerWriter) parents(name string) error {
	dir := path.Dir(name)
	if dir == "." || w.seen[dir] {
		return nil
	}
	return w.dir(dir, 0o755)
}

func (w *layerWriter) dir(name string, mode int64) error {
	name = strings.Trim(name, "/")
	if err := w.parents(name); err != nil {
		return err
	}
	return w.entry(&tar.Header{Typeflag: tar.TypeDir, Mode: mode}, name, nil)
}

func (w *layerWriter) file(name string, mode, size int64, r io.Reader) error {
	name = strings.Trim(name, "/")
	if err := w.parents(name); err != nil {
		return err
	}
	return w.entry(&tar.Header{Typeflag: tar.TypeReg, Mode: mode, Size: size}, name, r)
}

func (w *layerWriter) link(name, target string) error {
	name = strings.Trim(name, "/")
	if err := w.parents(name); err != nil {
		return err
	}
	return w.entry(&tar.Header{Typeflag: tar.TypeSymlink, Mode: 0o777, Linkname: target}, name, nil)
}

// hardLink gives a file of this layer, named without a leading slash, another name.
func (w *layerWriter) hardLink(name, target string) error {
	if !w.seen[target] {
		return fmt.Errorf("%s: there is no %s in this layer for it to be a name of", name, target)
	}
	name = strings.Trim(name, "/")
	if err := w.parents(name); err != nil {
		return err
	}
	return w.entry(&tar.Header{Typeflag: tar.TypeLink, Mode: 0o755, Linkname: target}, name, nil)
}

// hostFile puts in a file of the host.
func (w *layerWriter) hostFile(name string, mode int64, from string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return w.file(name, mode, info.Size(), f)
}

func (w *layerWriter) text(name string, mode int64, text string) error {
	return w.file(name, mode, int64(len(text)), strings.NewReader(text))
}
