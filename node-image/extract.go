package nodeimage

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
)

// extract copies one file of a layer under another name.
func extract(w *layerWriter, layer, from, to string) error {
	data, mode, err := readMember(layer, from)
	if err != nil {
		return err
	}
	return w.file(to, mode, int64(len(data)), bytes.NewReader(data))
}

// appended writes a file of the root again with lines added.
func appended(w *layerWriter, p *parts, spec ContainerImage, a ImageAppend) error {
	data, mode, err := readMember(p.roots[spec.Root].layer.path, a.Path)
	if err != nil {
		return err
	}
	return w.text(a.Path, mode, string(data)+a.Text)
}

// readMember reads a file of an archive, following symbolic links.
func readMember(archive, name string) ([]byte, int64, error) {
	f, err := os.Open(archive)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	tr := tar.NewReader(f)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil, 0, fmt.Errorf("%s: no file %s in it", archive, name)
		}
		if err != nil {
			return nil, 0, fmt.Errorf("%s: %w", archive, err)
		}
		if h.Name == name && h.Typeflag == tar.TypeSymlink && !path.IsAbs(h.Linkname) {
			return readMember(archive, path.Join(path.Dir(name), h.Linkname))
		}
		if h.Name == name {
			data, err := io.ReadAll(tr)
			return data, h.Mode, err
		}
	}
}
