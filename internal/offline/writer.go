package offline

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
)

// Writer writes a bundle. Its first error ends it.
type Writer struct {
	tar     *tar.Writer
	tmp     string
	index   v1.IndexManifest
	sums    strings.Builder
	have    map[string]bool          // members
	layers  map[string]v1.Descriptor // by diff ID
	written counter
}

// NewWriter begins a bundle in w. contents say what will be in it; programs are the
// files of Programs. tmp is a folder for temporary files.
func NewWriter(w io.Writer, tmp string, contents Contents, programs []string) (*Writer, error) {
	b := &Writer{
		tmp: tmp, have: map[string]bool{}, layers: map[string]v1.Descriptor{},
		index: v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{}},
	}
	b.tar = tar.NewWriter(io.MultiWriter(w, &b.written))
	contents.Format = Format
	text, err := json.MarshalIndent(contents, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encoding what is in the bundle: %w", err)
	}
	if err := b.text(contentsFile, append(text, '\n')); err != nil {
		return nil, err
	}
	for i, path := range programs {
		if err := b.program(Programs[i], path); err != nil {
			return nil, err
		}
	}
	return b, b.text(layoutFile, []byte(layoutText))
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// Size is how many bytes were written.
func (b *Writer) Size() int64 { return int64(b.written) }

func (b *Writer) program(name, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	return b.member(name, 0o755, info.Size(), f)
}

// member writes one, and its line of SHA256SUMS.
func (b *Writer) member(name string, mode, size int64, r io.Reader) error {
	h := sha256.New()
	err := b.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: size})
	if err == nil {
		_, err = io.Copy(io.MultiWriter(b.tar, h), r)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	b.have[name] = true
	fmt.Fprintf(&b.sums, "%x  %s\n", h.Sum(nil), name)
	return nil
}

func (b *Writer) text(name string, data []byte) error {
	return b.member(name, 0o644, int64(len(data)), strings.NewReader(string(data)))
}

// blob writes a small blob, once.
func (b *Writer) blob(media types.MediaType, data []byte) (v1.Descriptor, error) {
	sum := sha256.Sum256(data)
	d := v1.Descriptor{MediaType: media, Size: int64(len(data)), Digest: v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}}
	if b.have[blobName(d.Digest)] {
		return d, nil
	}
	return d, b.text(blobName(d.Digest), data)
}

// compressed writes what r has as a blob. Its size is known when it was compressed, and
// stands before it in the archive: hence the temporary file.
func (b *Writer) compressed(media types.MediaType, r io.Reader) (d v1.Descriptor, plain [sha256.Size]byte, size int64, err error) {
	f, err := os.CreateTemp(b.tmp, "bundle-")
	if err != nil {
		return d, plain, 0, fmt.Errorf("making a temporary file: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	sum, source := sha256.New(), sha256.New()
	var out counter
	z, err := zstd.NewWriter(io.MultiWriter(f, sum, &out))
	if err != nil {
		return d, plain, 0, fmt.Errorf("compressing: %w", err)
	}
	size, err = io.Copy(io.MultiWriter(z, source), r)
	if err = errors.Join(err, z.Close()); err != nil {
		return d, plain, 0, fmt.Errorf("compressing: %w", err)
	}
	source.Sum(plain[:0])
	d = v1.Descriptor{MediaType: media, Size: int64(out), Digest: v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum.Sum(nil))}}
	if b.have[blobName(d.Digest)] {
		return d, plain, size, nil
	}
	if _, err = f.Seek(0, io.SeekStart); err != nil {
		return d, plain, size, fmt.Errorf("reading what was compressed: %w", err)
	}
	return d, plain, size, b.member(blobName(d.Digest), 0o644, d.Size, f)
}

// HasLayer says whether a layer was written, by diff ID.
func (b *Writer) HasLayer(diffID string) bool {
	_, ok := b.layers[diffID]
	return ok
}

// Layer writes a layer whose plain content is r, which must have the diff ID.
func (b *Writer) Layer(diffID string, r io.Reader) error {
	if b.HasLayer(diffID) {
		return nil
	}
	d, plain, size, err := b.compressed(types.OCILayerZStd, r)
	if err != nil {
		return fmt.Errorf("layer %s: %w", diffID, err)
	}
	if got := "sha256:" + hex.EncodeToString(plain[:]); got != diffID {
		return fmt.Errorf("layer %s has the digest %s", diffID, got)
	}
	d.Annotations = map[string]string{sizeKey: strconv.FormatInt(size, 10)}
	b.layers[diffID] = d
	return nil
}

// Image names an image all of whose layers were written. config is its configuration.
func (b *Writer) Image(ref string, config []byte) error {
	file, err := v1.ParseConfigFile(strings.NewReader(string(config)))
	if err != nil {
		return fmt.Errorf("image %s: reading its configuration: %w", ref, err)
	}
	m := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1}
	if m.Config, err = b.blob(types.OCIConfigJSON, config); err != nil {
		return err
	}
	for _, id := range file.RootFS.DiffIDs {
		d, ok := b.layers[id.String()]
		if !ok {
			return fmt.Errorf("image %s: its layer %s was not written", ref, id)
		}
		m.Layers = append(m.Layers, d)
	}
	return b.manifest(m, types.OCIManifestSchema1, map[string]string{refKey: ref}, &v1.Platform{OS: file.OS, Architecture: file.Architecture})
}

// manifest writes one, and names it in the index.
func (b *Writer) manifest(m v1.Manifest, media types.MediaType, annotations map[string]string, platform *v1.Platform) error {
	data, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encoding a manifest: %w", err)
	}
	d, err := b.blob(media, data)
	d.Annotations, d.Platform, d.ArtifactType = annotations, platform, m.ArtifactType
	b.index.Manifests = append(b.index.Manifests, d)
	return err
}

// Output writes the files of a folder. progress hears of bytes that were read.
func (b *Writer) Output(name, dir string, progress func(n int64)) error {
	if !outputForm.MatchString(name) {
		return fmt.Errorf("output %q: it has no name of an output", name)
	}
	m := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: string(outputType)}
	var err error
	if m.Config, err = b.blob(emptyType, []byte("{}")); err != nil {
		return err
	}
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		d, err := b.file(path, filepath.ToSlash(rel), progress)
		m.Layers = append(m.Layers, d)
		return err
	})
	if err != nil {
		return fmt.Errorf("output %s: %w", name, err)
	}
	return b.manifest(m, types.OCIManifestSchema1, map[string]string{outputKey: name}, nil)
}

func (b *Writer) file(path, title string, progress func(n int64)) (v1.Descriptor, error) {
	f, err := os.Open(path)
	if err != nil {
		return v1.Descriptor{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return v1.Descriptor{}, err
	}
	if !info.Mode().IsRegular() {
		return v1.Descriptor{}, fmt.Errorf("%s is no file", title)
	}
	d, _, _, err := b.compressed(fileType, &telling{f, progress})
	d.Annotations = map[string]string{
		titleKey: title, modeKey: strconv.FormatUint(uint64(info.Mode().Perm()), 8), sizeKey: strconv.FormatInt(info.Size(), 10),
	}
	return d, err
}

// telling tells how much of a reader was read.
type telling struct {
	r    io.Reader
	tell func(n int64)
}

func (t *telling) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	if t.tell != nil && n > 0 {
		t.tell(int64(n))
	}
	return n, err
}

// Close writes what makes the bundle whole. The caller closes what it is in.
func (b *Writer) Close() error {
	index, err := json.Marshal(b.index)
	if err != nil {
		return fmt.Errorf("encoding the index: %w", err)
	}
	if err := b.text(indexFile, index); err != nil {
		return err
	}
	sums := b.sums.String() // of all but itself
	if err := b.text(sumsFile, []byte(sums)); err != nil {
		return err
	}
	if err := b.tar.Close(); err != nil {
		return fmt.Errorf("writing the bundle: %w", err)
	}
	return nil
}
