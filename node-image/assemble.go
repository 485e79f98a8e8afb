package nodeimage

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/kluster-project/kluster/internal/nodespec"
)

// runtimeLayers lie below the store, which is made with what they hold.
var runtimeLayers = []string{"runc", "containerd"}

// programLayers lie above the store, the most often changed ones last.
var programLayers = []string{"cni", "crictl", "kubeadm", "kubectl", "kubelet"}

// assemble puts the layers together, those that change least first.
func (b *builder) assemble(ctx context.Context, p *parts) (v1.Image, nodespec.Manifest, error) {
	none := nodespec.Manifest{}
	images, err := b.clusterImages(ctx, p)
	if err != nil {
		return nil, none, err
	}
	layers := []*fileLayer{p.roots["node"].layer}
	if layers, err = b.addPrograms(ctx, p, layers, runtimeLayers); err != nil {
		return nil, none, err
	}
	under, err := plainImage(layers...)
	if err != nil {
		return nil, none, err
	}
	store, err := b.store(ctx, under, images)
	if err != nil {
		return nil, none, err
	}
	if layers, err = b.addPrograms(ctx, p, append(layers, store), programLayers); err != nil {
		return nil, none, err
	}
	files, err := b.rootfsLayer(ctx)
	if err != nil {
		return nil, none, err
	}
	layers = append(layers, files)
	if b.r.nodeBinary != "" {
		node, err := b.nodeLayer(ctx)
		if err != nil {
			return nil, none, err
		}
		layers = append(layers, node)
	}
	manifest, err := b.manifest(ctx, p, images)
	if err != nil {
		return nil, none, err
	}
	img, err := b.finish(layers, manifest, store)
	return img, manifest, err
}

// addPrograms adds one layer per name, with the components that belong in it.
func (b *builder) addPrograms(ctx context.Context, p *parts, layers []*fileLayer, names []string) ([]*fileLayer, error) {
	for _, name := range names {
		var at []ImageFile
		for _, prog := range b.r.Programs {
			if prog.Layer == name {
				at = append(at, ImageFile{Component: prog.Name, Path: prog.Target})
			}
		}
		layer, err := b.programLayer(ctx, p, name, at)
		if err != nil {
			return nil, err
		}
		layers = append(layers, layer)
	}
	return layers, nil
}

func (b *builder) nodeLayer(ctx context.Context) (*fileLayer, error) {
	dir, err := b.step(ctx, "layer-kluster-node", []string{b.r.Node}, func(dir string) error {
		return writeLayer(dir, func(w *layerWriter) error { return w.hostFile(nodespec.NodeBinary, 0o755, b.r.nodeBinary) })
	})
	if err != nil {
		return nil, err
	}
	return openLayer(dir)
}

func (b *builder) manifest(ctx context.Context, p *parts, images []clusterImage) (nodespec.Manifest, error) {
	m := nodespec.Manifest{Kubernetes: b.r.Kubernetes, Arch: b.r.Arch, Runtimes: b.r.Runtimes, Recipe: b.r.Digest()}
	for _, prog := range b.r.Programs {
		_, digest, err := b.program(ctx, p, prog.Name)
		if err != nil {
			return m, err
		}
		m.Components = append(m.Components, nodespec.ComponentRecord{Name: prog.Name, Version: prog.Version, Source: prog.Source, Digest: digest})
	}
	b.addPackages(p, &m)
	for _, img := range images {
		m.Images = append(m.Images, img.record)
	}
	return m, nil
}

// addPackages records what comes from Debian: packages installed in the base or
// in a container image, and programs that were taken out of one.
func (b *builder) addPackages(p *parts, m *nodespec.Manifest) {
	for _, r := range b.r.Roots {
		root := p.roots[r.Name]
		for _, pkg := range root.packages {
			switch {
			case r.Name == builderRoot: // is in no image
			case r.extracted():
				m.Components = append(m.Components, nodespec.ComponentRecord{Name: pkg.Name, Version: pkg.Version, Source: "debian", Digest: root.layer.meta.DiffID.String()})
			case !slices.Contains(m.Packages, pkg):
				m.Packages = append(m.Packages, pkg)
			}
		}
	}
}

// finish sets the image's configuration.
func (b *builder) finish(layers []*fileLayer, m nodespec.Manifest, store *fileLayer) (v1.Image, error) {
	img, err := plainImage(layers...)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encoding the manifest: %w", err)
	}
	return mutate.ConfigFile(img, &v1.ConfigFile{
		Architecture: b.r.Arch, OS: "linux", RootFS: rootFS(layers),
		Config: v1.Config{
			Entrypoint: []string{nodespec.NodeBinary, "init"},
			Env:        []string{"PATH=" + nodePath, "container=docker"},
			StopSignal: "SIGRTMIN+3",
			Labels: map[string]string{
				nodespec.LabelManifest:   string(text),
				nodespec.LabelProtocol:   strconv.Itoa(nodespec.Protocol),
				nodespec.LabelKubernetes: b.r.Kubernetes,
				nodespec.LabelStoreLayer: store.meta.DiffID.String(),
			},
		},
	})
}
