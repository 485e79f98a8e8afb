package nodeimage

import (
	"archive/tar"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/kluster-project/kluster/internal/nodespec"
)

// storeScript imports and unpacks the images in a sandbox.
//
//go:embed store.sh
var storeScript string

// store makes the layer with the images, unpacked, as containerd keeps them.
func (b *builder) store(ctx context.Context, under v1.Image, images []clusterImage) (*fileLayer, error) {
	config, err := under.ConfigName()
	if err != nil {
		return nil, err
	}
	inputs := struct {
		Script, Under string
		Images        []nodespec.ImageRecord
		Pinned        []bool
	}{Script: storeScript, Under: config.String()}
	for _, img := range images {
		inputs.Images, inputs.Pinned = append(inputs.Images, img.record), append(inputs.Pinned, img.spec.Pinned)
	}
	dir, err := b.step(ctx, "store", inputs, func(dir string) error { return b.fillStore(ctx, dir, under, images) })
	if err != nil {
		return nil, err
	}
	return openLayer(dir)
}

func (b *builder) fillStore(ctx context.Context, dir string, under v1.Image, images []clusterImage) error {
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
		err := writeLayer(dir, func(lw *layerWriter) error { return storeLayer(lw, r) })
		r.CloseWithError(err)
		done <- err
	}()
	err := b.opts.Sandbox.Run(ctx, SandboxRun{
		Name: "store", Image: under, System: true,
		Args:    append([]string{"sh", "-euc", storeScript, "sh"}, pinned...),
		Env:     []string{"PATH=" + nodePath},
		Mounts:  map[string]string{layout: "/images"},
		Volumes: []string{"/var/lib/containerd"},
		Outputs: map[string]io.Writer{"/var/lib/containerd": w},
	})
	w.CloseWithError(err)
	if layerErr := <-done; err == nil {
		err = layerErr
	}
	return err
}

// storeParts are the folders of containerd's state that make a store.
var storeParts = []string{"io.containerd.metadata.v1.bolt", "io.containerd.content.v1.content", "io.containerd.snapshotter.v1.overlayfs"}

// storeLayer copies containerd's state from a tar stream to below StoreDir,
// with owners, modes and extended attributes as they are.
func storeLayer(w *layerWriter, r io.Reader) error {
	prefix := strings.Trim(nodespec.StoreDir, "/") + "/containerd"
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

func inStore(name string) (string, bool) {
	_, rest, _ := strings.Cut(strings.Trim(strings.TrimPrefix(name, "./"), "/"), "/")
	for _, p := range storeParts {
		if rest == p || strings.HasPrefix(rest, p+"/") {
			return rest, !strings.Contains(rest, "/ingest/")
		}
	}
	return "", false
}
