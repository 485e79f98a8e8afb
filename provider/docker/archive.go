package docker

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/distribution/reference"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// archive is an image in the form that "docker load" reads.
type archive struct {
	ref, configName string
	config          []byte
	layers          []v1.Layer
	diffIDs         []string
}

// manifestEntry is one image of an archive's manifest.json.
type manifestEntry struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// newArchive reads what is known of an image without reading its layers.
//
// The engine looks at the reference last, when it already holds the image, so a
// bad one is refused here.
func newArchive(ref string, img v1.Image) (*archive, error) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return nil, err
	}
	tag, ok := reference.TagNameOnly(named).(reference.NamedTagged)
	if !ok {
		return nil, fmt.Errorf("reference %q has no tag", ref)
	}
	config, err := img.RawConfigFile()
	if err != nil {
		return nil, err
	}
	name, err := img.ConfigName()
	if err != nil {
		return nil, err
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	layers, err := img.Layers()
	if err != nil {
		return nil, err
	}
	a := &archive{ref: reference.FamiliarString(tag), config: config, configName: name.Hex + ".json", layers: layers}
	for _, id := range file.RootFS.DiffIDs {
		a.diffIDs = append(a.diffIDs, id.String())
	}
	if len(a.diffIDs) != len(layers) {
		return nil, fmt.Errorf("%d layers, but its configuration names %d", len(layers), len(a.diffIDs))
	}
	return a, nil
}

// entry is one file of an archive.
type entry struct {
	name string
	size int64
	open func() (io.ReadCloser, error)
}

// archivePlan is what will be written.
type archivePlan []entry

// plan lists the files to send when the lowest skip layers are left out.
// The manifest names them all the same.
func (a *archive) plan(skip int) (archivePlan, error) {
	var plan archivePlan
	manifest := manifestEntry{Config: a.configName, RepoTags: []string{a.ref}}
	seen := map[string]bool{}
	for i, layer := range a.layers {
		name := layerFile(a.diffIDs[i])
		manifest.Layers = append(manifest.Layers, name)
		if i < skip || seen[name] {
			continue
		}
		seen[name] = true
		e, err := layerEntry(name, layer)
		if err != nil {
			return nil, fmt.Errorf("layer %s: %w", a.diffIDs[i], err)
		}
		plan = append(plan, e)
	}
	raw, err := json.Marshal([]manifestEntry{manifest})
	if err != nil {
		return nil, err
	}
	return append(plan, bytesEntry(a.configName, a.config), bytesEntry("manifest.json", raw)), nil
}

// size is how much is sent.
func (plan archivePlan) size() (bytes int64) {
	for _, e := range plan {
		bytes += e.size
	}
	return bytes
}

// layerFile names the file of a layer: its digest without "sha256:".
func layerFile(diffID string) string {
	return strings.TrimPrefix(diffID, "sha256:") + ".tar"
}

// layerEntry sends a layer as it is held, for then its size is known without
// reading it and every engine unpacks gzip itself. Only zstd, which older
// engines do not know, is unpacked here.
func layerEntry(name string, layer v1.Layer) (entry, error) {
	mediaType, err := layer.MediaType()
	if err != nil {
		return entry{}, err
	}
	if mediaType == types.OCILayerZStd {
		size, err := partial.UncompressedSize(layer)
		return entry{name, size, layer.Uncompressed}, err
	}
	size, err := layer.Size()
	return entry{name, size, layer.Compressed}, err
}

func bytesEntry(name string, data []byte) entry {
	return entry{name, int64(len(data)), func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(data)), nil
	}}
}

// write streams the files as a tar, telling progress of their bytes.
func (plan archivePlan) write(w io.Writer, progress func(done, total int64)) error {
	count := &counter{tell: progress, total: plan.size()}
	tw := tar.NewWriter(w)
	for _, e := range plan {
		if err := e.write(tw, count); err != nil {
			return fmt.Errorf("sending %s: %w", e.name, err)
		}
	}
	return tw.Close()
}

func (e entry) write(tw *tar.Writer, count *counter) error {
	r, err := e.open()
	if err != nil {
		return err
	}
	defer r.Close()
	if err := tw.WriteHeader(&tar.Header{Name: e.name, Mode: 0o644, Size: e.size, Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	_, err = io.Copy(io.MultiWriter(tw, count), r)
	return err
}

// counter is a writer that tells how much went through it.
type counter struct {
	done, total int64
	tell        func(done, total int64)
}

func (c *counter) Write(b []byte) (int, error) {
	c.done += int64(len(b))
	if c.tell != nil {
		c.tell(c.done, c.total)
	}
	return len(b), nil
}
