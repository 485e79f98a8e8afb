package nodeimage

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/nodespec"
)

// store makes the layer with the images, unpacked, as a runtime keeps them. under is
// a machine with the runtime's programs.
func (b *builder) store(ctx context.Context, runtime cri.Runtime, under v1.Image, images []clusterImage) (*fileLayer, error) {
	config, err := under.ConfigName()
	if err != nil {
		return nil, err
	}
	inputs := struct {
		Script, Under string
		Images        []nodespec.ImageRecord
		Pinned        []bool
	}{Script: runtime.Store.Fill, Under: config.String()}
	images = stored(runtime, images)
	for _, img := range images {
		inputs.Images, inputs.Pinned = append(inputs.Images, img.record), append(inputs.Pinned, img.spec.Pinned)
	}
	dir, err := b.step(ctx, storeStep(runtime.Name), inputs, func(dir string) error { return b.fillStore(ctx, dir, runtime, under, images) })
	if err != nil {
		return nil, err
	}
	return openLayer(dir)
}

// stored are the images that a runtime's store is made of. A store that is read in place
// has none of those that a test pulls and mounts: the library that CRI-O keeps images
// with runs containers on an image of such a store, but mounts none of it, also when it
// was pulled again ("layer not known", github.com/containers/storage/issues/1864).
func stored(runtime cri.Runtime, images []clusterImage) []clusterImage {
	if !runtime.Store.InPlace {
		return images
	}
	return slices.DeleteFunc(slices.Clone(images), func(img clusterImage) bool { return img.spec.Pulled })
}

// storeStep names the step that makes a runtime's store.
func storeStep(runtime string) string { return "store-" + runtime }

func (b *builder) fillStore(ctx context.Context, dir string, runtime cri.Runtime, under v1.Image, images []clusterImage) error {
	layout := filepath.Join(dir, "images")
	if err := writeLayout(layout, images); err != nil {
		return err
	}
	defer os.RemoveAll(layout)
	var pinned []string
	for _, img := range images {
		if img.spec.Pinned {
			pinned = append(pinned, img.spec.Ref)
		}
	}
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := writeLayer(dir, func(lw *layerWriter) error { return storeLayer(lw, runtime, r) })
		r.CloseWithError(err)
		done <- err
	}()
	err := b.opts.Sandbox.Run(ctx, SandboxRun{
		Name: storeStep(runtime.Name), Image: under, System: true,
		Args:    append([]string{"sh", "-euc", runtime.Store.Fill, "sh"}, pinned...),
		Env:     []string{"PATH=" + nodePath},
		Mounts:  map[string]string{layout: "/images"},
		Volumes: runtime.Volumes,
		Outputs: map[string]io.Writer{runtime.StateDir: w},
	})
	w.CloseWithError(err)
	if layerErr := <-done; err == nil {
		err = layerErr
	}
	return err
}

// storeLayer copies a runtime's state from a tar stream to below StoreDir,
// with owners, modes and extended attributes as they are.
func storeLayer(w *layerWriter, runtime cri.Runtime, r io.Reader) error {
	inStore := func(name string) (string, bool) { return inStore(runtime.Store.Parts, name) }
	prefix := strings.Trim(storeFolder(runtime.Name), "/")
	if err := w.dir(prefix, 0o755); err != nil {
		return err
	}
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			_, err = io.Copy(io.Discard, r)
			return err
		}
		if err != nil {
			return fmt.Errorf("reading the store: %w", err)
		}
		rest, ok := inStore(h.Name)
		if !ok {
			continue
		}
		if h.Typeflag == tar.TypeLink {
			target, ok := inStore(h.Linkname)
			if !ok {
				return fmt.Errorf("reading the store: %s is a link to %s", h.Name, h.Linkname)
			}
			h.Linkname = prefix + "/" + target
		}
		if err := w.entry(h, prefix+"/"+rest, tr); err != nil {
			return err
		}
	}
}

// storeFolder is where a runtime's store lies in a node.
func storeFolder(runtime string) string { return path.Join(nodespec.StoreDir, runtime) }

func inStore(parts []string, name string) (string, bool) {
	_, rest, _ := strings.Cut(strings.Trim(strings.TrimPrefix(name, "./"), "/"), "/")
	for _, p := range parts {
		if rest == p || strings.HasPrefix(rest, p+"/") {
			return rest, !strings.Contains(rest, "/ingest/")
		}
	}
	return "", false
}
