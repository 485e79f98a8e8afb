package nodeimage

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/nodespec"
)

// runtimeLayers lie below the store, which is made with what they hold.
var runtimeLayers = []string{"runc", "containerd", "docker", "cri-o"}

// helperLayers are further programs of runtimes, which no store is made with.
var helperLayers = []string{"conmon", "crun"}

// programLayers lie above the store, the most often changed ones last.
var programLayers = []string{"manifests", "cni", "crictl", "registry", "kubeadm", "kubectl", "kubelet"}

// assemble puts the layers together, those that change least first.
func (b *builder) assemble(ctx context.Context, p *parts) (v1.Image, nodespec.Manifest, error) {
	none := nodespec.Manifest{}
	images, err := b.clusterImages(ctx, p)
	if err != nil {
		return nil, none, err
	}
	s := newStack()
	s.add(p.roots["node"].layer, "")
	if err := b.addPrograms(ctx, p, s, runtimeLayers); err != nil {
		return nil, none, err
	}
	if err := b.addStores(ctx, p, s, images); err != nil {
		return nil, none, err
	}
	if err := b.addPrograms(ctx, p, s, slices.Concat(helperLayers, programLayers)); err != nil {
		return nil, none, err
	}
	files, err := b.rootfsLayer(ctx)
	if err != nil {
		return nil, none, err
	}
	s.add(files, "")
	if b.r.nodeBinary != "" {
		node, err := b.nodeLayer(ctx)
		if err != nil {
			return nil, none, err
		}
		s.add(node, folderOf(nodeLayerName))
	}
	manifest, err := b.manifest(ctx, p, images)
	if err != nil {
		return nil, none, err
	}
	img, err := b.finish(s, manifest)
	return img, manifest, err
}

// addStores adds a layer with the images for each runtime. It is made on the
// runtime's own programs alone, so that it is the same whatever else is in the image.
func (b *builder) addStores(ctx context.Context, p *parts, s *stack, images []clusterImage) error {
	for _, name := range b.r.Runtimes {
		runtime, err := cri.Get(name)
		if err != nil {
			return err
		}
		own := newStack()
		own.add(p.roots["node"].layer, "")
		if err := b.addPrograms(ctx, p, own, b.r.layersOf(name)); err != nil {
			return err
		}
		under, err := plainImage(own.layers...)
		if err != nil {
			return err
		}
		store, err := b.store(ctx, runtime, under, images)
		if err != nil {
			return err
		}
		s.add(store, storeFolder(name))
	}
	return nil
}

// addPrograms adds one layer per name, with the components that belong in it.
func (b *builder) addPrograms(ctx context.Context, p *parts, s *stack, names []string) error {
	for _, name := range names {
		var files []placedFile
		own := ""
		for _, prog := range b.r.Programs {
			if prog.Layer != name {
				continue
			}
			from, digest, err := b.program(ctx, p, prog.Name)
			if err != nil {
				return err
			}
			if prog.Shared {
				own = folderOf(name)
			}
			files = append(files, prog.place(from, digest))
		}
		if len(files) == 0 {
			continue // a runtime's that is not in this image
		}
		layer, err := b.programLayer(ctx, name, files)
		if err != nil {
			return err
		}
		s.add(layer, own)
	}
	return nil
}

// nodeLayerName is the name of the layer with kluster-node.
const nodeLayerName = "kluster-node"

func (b *builder) nodeLayer(ctx context.Context) (*fileLayer, error) {
	node := Program{Name: nodeLayerName, Target: nodespec.NodeBinary, Layer: nodeLayerName, Shared: true}
	return b.programLayer(ctx, nodeLayerName, []placedFile{node.place(b.r.nodeBinary, b.r.Node)})
}

func (b *builder) manifest(ctx context.Context, p *parts, images []clusterImage) (nodespec.Manifest, error) {
	m := nodespec.Manifest{Kubernetes: b.r.Kubernetes, Arch: b.r.Arch, Runtimes: b.r.Runtimes, Recipe: b.r.Digest()}
	for _, prog := range b.r.Programs {
		if prog.Kind == KindDebian {
			continue // addPackages tells of its package
		}
		_, digest, err := b.program(ctx, p, prog.Name)
		if err != nil {
			return m, err
		}
		m.Components = append(m.Components, nodespec.ComponentRecord{Name: prog.Name, Version: prog.Version, Source: prog.Source, Digest: digest})
	}
	b.addPackages(p, &m)
	var err error
	m.Images, err = records(b.r.Runtimes, images)
	return m, err
}

// records tell of images, but for those that no runtime's store has.
func records(runtimes []string, images []clusterImage) ([]nodespec.ImageRecord, error) {
	var all []nodespec.ImageRecord
	for _, img := range images {
		r := img.record
		for _, name := range runtimes {
			runtime, err := cri.Get(name)
			if err != nil {
				return nil, err
			}
			if len(stored(runtime, []clusterImage{img})) == 0 {
				r.Without = append(r.Without, name)
			}
		}
		if len(r.Without) < len(runtimes) {
			all = append(all, r)
		}
	}
	return all, nil
}

// addPackages records what comes from Debian: packages installed in the base or
// in a container image, and programs that were taken out of one.
func (b *builder) addPackages(p *parts, m *nodespec.Manifest) {
	for _, r := range b.r.Roots {
		root := p.roots[r.Name]
		for _, pkg := range root.packages {
			switch {
			case r.Name == builderRoot: // is in no image
			case r.extracted() && !slices.Contains(r.Packages, pkg.Name): // of which nothing is taken
			case r.extracted():
				m.Components = append(m.Components, nodespec.ComponentRecord{Name: pkg.Name, Version: pkg.Version, Source: "debian", Digest: root.layer.meta.DiffID.String()})
			case !slices.Contains(m.Packages, pkg):
				m.Packages = append(m.Packages, pkg)
			}
		}
	}
}

// finish sets the image's configuration.
func (b *builder) finish(s *stack, m nodespec.Manifest) (v1.Image, error) {
	img, err := plainImage(s.layers...)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encoding the manifest: %w", err)
	}
	own, err := json.Marshal(s.own)
	if err != nil {
		return nil, fmt.Errorf("encoding the layers' folders: %w", err)
	}
	return mutate.ConfigFile(img, &v1.ConfigFile{
		Architecture: b.r.Arch, OS: "linux", RootFS: rootFS(s.layers),
		Config: v1.Config{
			Entrypoint: []string{nodespec.NodeBinary, "init"},
			Env:        []string{"PATH=" + nodePath, "container=docker"},
			StopSignal: "SIGRTMIN+3",
			Labels: map[string]string{
				nodespec.LabelManifest:   string(text),
				nodespec.LabelProtocol:   strconv.Itoa(nodespec.Protocol),
				nodespec.LabelKubernetes: b.r.Kubernetes,
				nodespec.LabelLayers:     string(own),
			},
		},
	})
}
