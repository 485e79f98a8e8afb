// Package imageload knows what container images are made of: it reads them from
// archives and folders, tells which of their layers a node lacks, and writes the
// stream that brings a node just those.
package imageload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/distribution/reference"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
)

// Image is an image for one platform.
type Image struct {
	// Names are whole ones ("docker.io/library/app:dev").
	Names []string
	// ID is the digest of Config, by which runtimes know an image.
	ID     v1.Hash
	Config []byte
	// Manifest is the source's own, nil where it has none; Media is its type.
	Manifest []byte
	Media    types.MediaType
	// Layers are the layers from the lowest up.
	Layers []Layer
}

// Layer is a layer of an image.
type Layer struct {
	// DiffID is the digest of the layer as a plain tar file.
	DiffID v1.Hash
	// Digest, Size (bytes) and Media are of the layer as its source has it, perhaps
	// compressed. Size is -1 as long as it is not known.
	Digest v1.Hash
	Size   int64
	Media  types.MediaType
}

// Source is where images come from.
type Source interface {
	// Images are the images, each with what is known before a layer is read: of some
	// sources neither the configuration nor the sizes of layers.
	Images() []*Image
	// Read gives put the layers whose digest, as Images has it, is wanted, each once
	// and in any order. What put reads ends with an error if it is damaged. Afterwards
	// all is known of the images.
	Read(ctx context.Context, wanted map[v1.Hash]bool, put func(l Layer, r io.Reader) error) error
}

// Bytes is what the layers of images that are wanted come to, each counted once, and
// whether that is known of all.
func Bytes(all []*Image, wanted map[v1.Hash]bool) (sum int64, known bool) {
	known = true
	seen := map[v1.Hash]bool{}
	for _, img := range all {
		for _, l := range img.Layers {
			if !wanted[l.Digest] || seen[l.Digest] {
				continue
			}
			seen[l.Digest] = true
			sum, known = sum+max(l.Size, 0), known && l.Size >= 0
		}
	}
	return sum, known
}

// Chain is the chain ID of layers: what runtimes call a layer together with those
// below it, whose own is below ("" for none).
func Chain(below string, diffID v1.Hash) string {
	if below == "" {
		return diffID.String()
	}
	return digest.FromString(below + " " + diffID.String()).String()
}

// setConfig takes a configuration, which must be that of the image's ID, and fit its
// layers.
func (img *Image) setConfig(text []byte) error {
	if got := digest.FromBytes(text).String(); got != img.ID.String() {
		return fmt.Errorf("its configuration has the digest %s, not %s", got, img.ID)
	}
	file, err := parseConfig(text)
	if err != nil {
		return err
	}
	if len(file.RootFS.DiffIDs) != len(img.Layers) {
		return fmt.Errorf("it has %d layers, but its configuration names %d", len(img.Layers), len(file.RootFS.DiffIDs))
	}
	for i, id := range file.RootFS.DiffIDs {
		if img.Layers[i].DiffID != (v1.Hash{}) && img.Layers[i].DiffID != id {
			return fmt.Errorf("its layer %d is %s, but its configuration says %s", i+1, img.Layers[i].DiffID, id)
		}
		img.Layers[i].DiffID = id
	}
	img.Config = text
	return nil
}

func parseConfig(text []byte) (*v1.ConfigFile, error) {
	file, err := v1.ParseConfigFile(strings.NewReader(string(text)))
	if err != nil {
		return nil, fmt.Errorf("reading its configuration: %w", err)
	}
	for _, id := range file.RootFS.DiffIDs {
		if err := digest.Digest(id.String()).Validate(); err != nil {
			return nil, fmt.Errorf("reading its configuration: layer %q: %w", id, err)
		}
	}
	return file, nil
}

// PlatformError is an image that is not for the nodes' platform.
type PlatformError struct {
	Name string
	Want string   // "linux/amd64"
	Have []string // what the image is for
}

func (e *PlatformError) Error() string {
	return fmt.Sprintf("image %s is for %s, and the nodes are %s", e.Name, strings.Join(e.Have, ", "), e.Want)
}

// Hint says what to do about it.
func (e *PlatformError) Hint() string {
	return "build or pull it for the nodes: --platform " + e.Want
}

// CheckPlatform sees that an image, whose platform is have, runs on nodes of want.
func CheckPlatform(name string, have, want v1.Platform) error {
	if have.Satisfies(v1.Platform{OS: want.OS, Architecture: want.Architecture}) {
		return nil
	}
	return &PlatformError{Name: name, Want: show(want), Have: []string{show(have)}}
}

func show(p v1.Platform) string {
	text := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		text += "/" + p.Variant
	}
	return text
}

// WholeName completes a name as people write it ("app" is "docker.io/library/app:latest").
// A name with a digest, or the ID of an image, is refused: nodes know images by tag.
func WholeName(name string) (string, error) {
	named, err := reference.ParseDockerRef(name)
	if err == nil && digest.Digest(name).Validate() == nil {
		err = errors.New("it is an ID")
	}
	if err != nil {
		return "", fmt.Errorf("%q is no name of an image: %w", name, err)
	}
	tagged, ok := named.(reference.NamedTagged)
	if !ok {
		return "", fmt.Errorf("%q names an image by its digest; give it a tag, by which pods can ask for it", name)
	}
	return tagged.String(), nil
}

// wholeNames completes names, and leaves out doubles.
func wholeNames(names []string) ([]string, error) {
	var all []string
	for _, n := range names {
		whole, err := WholeName(n)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(all, whole) {
			all = append(all, whole)
		}
	}
	return all, nil
}

// label is what an image is called in errors.
func (img *Image) label() string {
	if len(img.Names) > 0 {
		return img.Names[0]
	}
	return img.ID.String()
}

// New makes an image of what an engine says about one that it holds: its name, ID and
// the diff IDs of its layers from the lowest up.
func New(name, id string, diffIDs []string) (*Image, error) {
	whole, err := WholeName(name)
	if err != nil {
		return nil, err
	}
	img := &Image{Names: []string{whole}}
	if img.ID, err = v1.NewHash(id); err != nil {
		return nil, fmt.Errorf("image %s: %w", whole, err)
	}
	for _, text := range diffIDs {
		h, err := v1.NewHash(text)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", whole, err)
		}
		img.Layers = append(img.Layers, Layer{DiffID: h, Digest: h, Size: -1, Media: types.DockerUncompressedLayer})
	}
	if len(img.Layers) == 0 {
		return nil, fmt.Errorf("image %s has no layers", whole)
	}
	return img, nil
}

// Complete adds what New was not told: the configuration, and each layer as it was
// read.
func (img *Image) Complete(config []byte, layers []Layer) error {
	for _, l := range layers {
		for i := range img.Layers {
			if img.Layers[i].DiffID == l.DiffID {
				img.Layers[i] = l
			}
		}
	}
	if i := slices.IndexFunc(img.Layers, func(l Layer) bool { return l.Size < 0 }); i >= 0 {
		return fmt.Errorf("image %s: the size of layer %s is not known", img.label(), img.Layers[i].DiffID)
	}
	if err := img.setConfig(config); err != nil {
		return fmt.Errorf("image %s: %w", img.label(), err)
	}
	return nil
}

// errDigest is content that is not what its name says.
var errDigest = errors.New("its content is not what its digest says: it is damaged")

// verified is a reader that ends with an error unless what was read had the digest and
// the size of a layer.
type verified struct {
	r    io.Reader
	sum  digest.Verifier
	left int64
}

// Verify gives what r holds, and in place of the end an error if that is not what the
// digest and the size of a layer say.
func Verify(r io.Reader, l Layer) io.Reader {
	sum := digest.Digest(l.Digest.String()).Verifier()
	return &verified{r: io.TeeReader(r, sum), sum: sum, left: l.Size}
}

func (v *verified) Read(p []byte) (int, error) {
	n, err := v.r.Read(p)
	v.left -= int64(n)
	if errors.Is(err, io.EOF) && (v.left != 0 || !v.sum.Verified()) {
		return n, errDigest
	}
	return n, err
}
