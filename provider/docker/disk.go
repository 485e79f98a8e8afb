package docker

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/system"
	"github.com/opencontainers/go-digest"
	"github.com/vbatts/tar-split/tar/storage"

	"github.com/kluster-project/kluster/provider"
)

// diskImage is an image on the disk of an engine, in the engine's own store: the
// folder of each layer, beside it what makes the same tar file of that folder
// again, and the configuration. It is read where this process may, for the engine
// itself can only "save" all of an image: it then reads even what is not wanted,
// and before 25 writes it to a temporary folder before it sends the first byte.
//
// The form is that of all engines with a storage driver of their own. Nothing of
// it is written.
type diskImage struct {
	config []byte
	layers []diskLayer
}

// diskLayer is a layer in its folder.
type diskLayer struct {
	provider.ImageLayer
	dir string
	// recipe is the file that says in which order and under which headers the
	// folder's files make the layer.
	recipe string
}

// openDisk finds an image in the store. It fails where the store cannot be read or
// is of another form, which says nothing of the image.
func openDisk(info system.Info, held image.InspectResponse, wanted map[string]bool) (*diskImage, error) {
	store := filepath.Join(info.DockerRootDir, "image", held.GraphDriver.Name)
	hex, ok := strings.CutPrefix(held.ID, digestPrefix)
	if !ok {
		return nil, fmt.Errorf("the image's ID is %q", held.ID)
	}
	d := &diskImage{}
	var err error
	if d.config, err = os.ReadFile(filepath.Join(store, "imagedb", "content", "sha256", hex)); err != nil {
		return nil, err
	}
	if digest.FromBytes(d.config).String() != held.ID {
		return nil, errors.New("the image's configuration has another digest")
	}
	chain := ""
	for _, diffID := range held.RootFS.Layers {
		chain = chainID(chain, diffID)
		l := diskLayer{
			ImageLayer: plainLayer(diffID),
			recipe:     filepath.Join(store, "layerdb", "sha256", strings.TrimPrefix(chain, digestPrefix), "tar-split.json.gz"),
		}
		if l.dir, err = layerDir(held, diffID); err != nil {
			return nil, err
		}
		if l.Size, err = l.measure(wanted[diffID]); err != nil {
			return nil, fmt.Errorf("layer %s: %w", diffID, err)
		}
		d.layers = append(d.layers, l)
	}
	return d, nil
}

const digestPrefix = "sha256:"

// measure gives the size of the layer as a tar file. With files it also sees that
// every file of it is there, as long as it was.
func (l diskLayer) measure(files bool) (size int64, err error) {
	folder, err := os.OpenRoot(l.dir)
	if err != nil {
		return 0, err
	}
	defer folder.Close()
	err = l.withRecipe(func(parts storage.Unpacker) error {
		for {
			part, err := parts.Next()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if part.Type == storage.SegmentType {
				size += int64(len(part.Payload))
				continue
			}
			if size += part.Size; !files || part.Size == 0 {
				continue
			}
			info, err := folder.Lstat(relative(part.GetName()))
			if err != nil {
				return err
			}
			if !info.Mode().IsRegular() || info.Size() != part.Size {
				return fmt.Errorf("%s is not the file that the layer was made of", part.GetName())
			}
		}
	})
	return size, err
}

func (l diskLayer) withRecipe(do func(storage.Unpacker) error) error {
	f, err := os.Open(l.recipe)
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("%s: %w", l.recipe, err)
	}
	return do(storage.NewJSONUnpacker(text))
}

// relative is the name of a file in a tar file, below the folder it goes to.
func relative(name string) string {
	return strings.TrimPrefix(filepath.Clean("/"+name), "/")
}

// read gives put the layers that are wanted, from the lowest up, so that each can be laid
// on those that are there by then.
func (d *diskImage) read(ctx context.Context, wanted map[string]bool, put func(provider.ImageLayer, io.Reader) error) error {
	had := map[string]bool{}
	for _, l := range d.layers {
		if had[l.DiffID] || !wanted[l.DiffID] {
			continue
		}
		had[l.DiffID] = true
		if err := l.read(ctx, put); err != nil {
			return fmt.Errorf("layer %s in %s: %w", l.DiffID, l.dir, err)
		}
	}
	return nil
}

func (l diskLayer) read(ctx context.Context, put func(provider.ImageLayer, io.Reader) error) error {
	root, err := os.OpenRoot(l.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return l.withRecipe(func(parts storage.Unpacker) error {
		made := &assembled{ctx: ctx, folder: root, parts: parts}
		defer made.close()
		return put(l.ImageLayer, checkLayer(made, l.ImageLayer))
	})
}

func (d *diskImage) content() provider.ImageContent {
	c := provider.ImageContent{Config: d.config}
	for _, l := range d.layers {
		c.Layers = append(c.Layers, l.ImageLayer)
	}
	return c
}

// disk opens an image in the engine's store, if the engine is of this machine.
func (p *Provider) disk(info system.Info, held image.InspectResponse, wanted map[string]bool) (*diskImage, error) {
	if !p.endpoint.local() || containerdStore(info) {
		return nil, errors.New("the engine's store is not here, or not its own")
	}
	return openDisk(info, held, wanted)
}
