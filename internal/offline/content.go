package offline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
)

// Image is a container image of a bundle.
type Image struct {
	Ref string
	v1.Image
}

// Output is a folder of the cache.
type Output struct {
	Name  string
	files []file
	from  *Bundle
}

// file is one of an output.
type file struct {
	title string
	mode  fs.FileMode
	size  int64
	blob  string
}

func (b *Bundle) readIndex() error {
	text, err := b.text(indexFile)
	if err != nil {
		return err
	}
	index, err := v1.ParseIndexManifest(bytes.NewReader(text))
	if err != nil {
		return damaged("%s: %v", indexFile, err)
	}
	for _, d := range index.Manifests {
		text, err := b.text(blobName(d.Digest))
		if err != nil {
			return err
		}
		m, err := v1.ParseManifest(bytes.NewReader(text))
		if err != nil {
			return damaged("manifest %s: %v", d.Digest, err)
		}
		if name := d.Annotations[outputKey]; name != "" {
			err = b.addOutput(name, m)
		} else {
			err = b.addImage(d.Annotations[refKey], m, text)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *Bundle) addOutput(name string, m *v1.Manifest) error {
	if !outputForm.MatchString(name) {
		return damaged("%q is no name of an output", name)
	}
	out := Output{Name: name, from: b}
	for _, d := range m.Layers {
		f := file{title: d.Annotations[titleKey], blob: blobName(d.Digest)}
		mode, err := strconv.ParseUint(d.Annotations[modeKey], 8, 32)
		if err != nil || fs.FileMode(mode).Perm() != fs.FileMode(mode) {
			return damaged("output %s: %q is no mode", name, d.Annotations[modeKey])
		}
		f.mode = fs.FileMode(mode)
		if f.size, err = strconv.ParseInt(d.Annotations[sizeKey], 10, 64); err != nil || f.size < 0 {
			return damaged("output %s: %q is no size", name, d.Annotations[sizeKey])
		}
		if !filepath.IsLocal(filepath.FromSlash(f.title)) {
			return damaged("output %s: %q is no name of a file in it", name, f.title)
		}
		if _, err := b.open(f.blob); err != nil {
			return err
		}
		out.files = append(out.files, f)
	}
	b.Outputs = append(b.Outputs, out)
	return nil
}

func (b *Bundle) addImage(ref string, m *v1.Manifest, raw []byte) error {
	if ref == "" {
		return damaged("%s has an image without a name", indexFile)
	}
	config, err := b.text(blobName(m.Config.Digest))
	if err != nil {
		return err
	}
	file, err := v1.ParseConfigFile(bytes.NewReader(config))
	if err != nil {
		return damaged("image %s: its configuration: %v", ref, err)
	}
	if len(file.RootFS.DiffIDs) != len(m.Layers) {
		return damaged("image %s: %d layers, but its configuration names %d", ref, len(m.Layers), len(file.RootFS.DiffIDs))
	}
	img := image{raw: raw, config: config, layers: map[v1.Hash]layer{}}
	for i, d := range m.Layers {
		l := layer{d: d, diffID: file.RootFS.DiffIDs[i], from: b}
		if l.plain, err = strconv.ParseInt(d.Annotations[sizeKey], 10, 64); err != nil || d.MediaType != types.OCILayerZStd {
			return damaged("image %s: layer %s is none of a bundle", ref, d.Digest)
		}
		if _, err := b.open(blobName(d.Digest)); err != nil {
			return err
		}
		img.layers[d.Digest] = l
	}
	whole, err := partial.CompressedToImage(img)
	if err != nil {
		return fmt.Errorf("image %s: %w", ref, err)
	}
	b.Images = append(b.Images, Image{ref, whole})
	return nil
}

// image is the core of an image; partial makes the rest.
type image struct {
	raw, config []byte
	layers      map[v1.Hash]layer
}

func (i image) RawManifest() ([]byte, error)        { return i.raw, nil }
func (i image) RawConfigFile() ([]byte, error)      { return i.config, nil }
func (i image) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }
func (i image) LayerByDigest(h v1.Hash) (partial.CompressedLayer, error) {
	l, ok := i.layers[h]
	if !ok {
		return nil, fmt.Errorf("the image has no layer %s", h)
	}
	return l, nil
}

type layer struct {
	d      v1.Descriptor
	diffID v1.Hash
	plain  int64
	from   *Bundle
}

func (l layer) Digest() (v1.Hash, error)            { return l.d.Digest, nil }
func (l layer) DiffID() (v1.Hash, error)            { return l.diffID, nil }
func (l layer) Size() (int64, error)                { return l.d.Size, nil }
func (l layer) MediaType() (types.MediaType, error) { return l.d.MediaType, nil }

// UncompressedSize spares package partial to read the layer for it.
func (l layer) UncompressedSize() (int64, error) { return l.plain, nil }

func (l layer) Compressed() (io.ReadCloser, error) {
	r, err := l.from.open(blobName(l.d.Digest))
	if err != nil {
		return nil, err
	}
	return io.NopCloser(r), nil
}

// Size is that of the output's files, in bytes.
func (o Output) Size() (bytes int64) {
	for _, f := range o.files {
		bytes += f.size
	}
	return bytes
}

// Unpack puts the files below dir. progress hears of bytes that were written.
func (o Output) Unpack(ctx context.Context, dir string, progress func(n int64)) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("output %s: %w", o.Name, err)
	}
	defer root.Close()
	for _, f := range o.files {
		if err := o.unpack(ctx, root, f, progress); err != nil {
			return fmt.Errorf("output %s: %s: %w", o.Name, f.title, err)
		}
	}
	return nil
}

func (o Output) unpack(ctx context.Context, root *os.Root, f file, progress func(n int64)) (err error) {
	r, err := o.from.open(f.blob)
	if err != nil {
		return err
	}
	name := filepath.FromSlash(f.title)
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	out, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, f.mode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if err := out.Chmod(f.mode); err != nil { // whatever the umask is
		return err
	}
	z, err := zstd.NewReader(during{ctx, r})
	if err != nil {
		return err
	}
	defer z.Close()
	n, err := io.Copy(out, io.LimitReader(&telling{z, progress}, f.size+1))
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err == nil && n != f.size {
		err = damaged("it has not %d bytes", f.size)
	}
	return err
}
