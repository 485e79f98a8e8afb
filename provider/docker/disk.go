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

	"github.com/kluster-project/kluster/internal/pieces"
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
	layers []*diskLayer
}

// diskLayer is a layer in its folder.
type diskLayer struct {
	provider.ImageLayer
	dir string
	// recipe is the file that says in which order and under which headers the
	// folder's files make the layer.
	recipe string
	parts  []diskPart // if it is wanted
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
		l := &diskLayer{
			ImageLayer: plainLayer(diffID),
			recipe:     filepath.Join(store, "layerdb", "sha256", strings.TrimPrefix(chain, digestPrefix), "tar-split.json.gz"),
		}
		if l.dir, err = layerDir(held, diffID); err != nil {
			return nil, err
		}
		if err := l.look(wanted[diffID]); err != nil {
			return nil, fmt.Errorf("layer %s: %w", diffID, err)
		}
		d.layers = append(d.layers, l)
	}
	return d, nil
}

const digestPrefix = "sha256:"

// look reads the recipe: the layer's size as a tar file and, of one that is wanted, what it
// is made of. Then it also sees that every file of it is there, as long as it was.
func (l *diskLayer) look(wanted bool) error {
	err := l.withRecipe(func(entry *storage.Entry) {
		if l.Size += entry.Size; entry.Type == storage.SegmentType {
			l.Size += int64(len(entry.Payload))
		}
		if wanted {
			l.add(entry)
		}
	})
	if err != nil {
		return err
	}
	folder, err := os.OpenRoot(l.dir)
	if err != nil {
		return err
	}
	defer folder.Close()
	for _, p := range l.parts {
		if p.file == "" {
			continue
		}
		info, err := folder.Lstat(p.file)
		if err == nil {
			err = p.check(info)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// withRecipe calls do with each entry of the recipe.
func (l *diskLayer) withRecipe(do func(entry *storage.Entry)) error {
	f, err := os.Open(l.recipe)
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("%s: %w", l.recipe, err)
	}
	for entries := storage.NewJSONUnpacker(text); ; {
		entry, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", l.recipe, err)
		}
		do(entry)
	}
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

func (l *diskLayer) read(ctx context.Context, put func(provider.ImageLayer, io.Reader) error) error {
	made := pieces.NewReader(ctx, l.pieces(ctx), nil)
	defer made.Close()
	return put(l.ImageLayer, checkLayer(made, l.ImageLayer))
}

// Layer implements provider.ImageFiles.
func (d *diskImage) Layer(ctx context.Context, diffID string) pieces.Seq {
	for _, l := range d.layers {
		if l.DiffID == diffID && l.parts != nil {
			return l.pieces(ctx)
		}
	}
	return pieces.Fail(fmt.Errorf("layer %s was not opened", diffID))
}

// Content implements provider.ImageFiles.
func (d *diskImage) Content() provider.ImageContent {
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
