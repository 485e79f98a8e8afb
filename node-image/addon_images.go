package nodeimage

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// OnDemandImages are the names of the container images that add-ons bring to the
// clusters that have them, in no node image: by the last part of the repository
// ("metrics-server").
func OnDemandImages() (map[string]string, error) {
	c, err := LoadCatalog()
	if err != nil {
		return nil, err
	}
	x := resolver{c: c, k: c.Kubernetes[0]}
	refs := map[string]string{}
	for _, img := range c.Images {
		if img.OnDemand {
			ref := x.expand(img.Ref, "", x.k.Version)
			refs[shortName(ref)] = ref
		}
	}
	return refs, nil
}

// BuildOnDemand makes images of OnDemandImages, by their whole names, from the cache
// where it can. It returns the errors of Resolve and Build.
func BuildOnDemand(ctx context.Context, refs []string, opts Options) (*Archive, error) {
	c, err := LoadCatalog()
	if err != nil {
		return nil, err
	}
	return buildOnDemand(ctx, c, refs, Env{}, opts)
}

func buildOnDemand(ctx context.Context, c *Catalog, refs []string, env Env, opts Options) (*Archive, error) {
	kept, err := keptOnDemand(ctx, c, refs, env, opts)
	if err != nil || kept != nil {
		return kept, err
	}
	r, _, err := onDemandSet(c, refs...)(ctx, env)
	if err != nil {
		return nil, err
	}
	return r.archive(ctx, refs, opts)
}

// onDemandSet is some images of add-ons.
func onDemandSet(c *Catalog, refs ...string) imageSet {
	return func(ctx context.Context, env Env) (*Recipe, []string, error) {
		x := resolver{c: c}
		if err := check(c, &x.spec); err != nil {
			return nil, nil, err
		}
		if err := x.begin(ctx, env); err != nil {
			return nil, nil, err
		}
		if err := x.pickImages(refs, "images of add-ons", func(img ContainerImage) bool { return img.OnDemand }); err != nil {
			return nil, nil, err
		}
		r, err := x.containersOnly(ctx)
		return r, refs, err
	}
}

// keptOnDemand takes images of add-ons out of folders that were kept, one each; nil
// where one is missing.
func keptOnDemand(ctx context.Context, c *Catalog, refs []string, env Env, opts Options) (*Archive, error) {
	var all []*Archive
	for _, ref := range refs {
		a, err := onDemandSet(c, ref).kept(ctx, []string{ref}, env, opts)
		if a == nil || err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return joined(all)
}

// joined is one archive with the images of several.
func joined(all []*Archive) (*Archive, error) {
	out := &Archive{layout: ociLayout{version: layoutVersion}}
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	for _, a := range all {
		one, err := v1.ParseIndexManifest(bytes.NewReader(a.layout.index))
		if err != nil {
			return nil, fmt.Errorf("reading the index of kept images: %w", err)
		}
		index.Manifests = append(index.Manifests, one.Manifests...)
		out.records = append(out.records, a.records...)
		for _, b := range a.layout.blobs {
			if !slices.ContainsFunc(out.layout.blobs, func(o blob) bool { return o.hex == b.hex }) {
				out.layout.blobs = append(out.layout.blobs, b)
			}
		}
	}
	var err error
	out.layout.index, err = json.Marshal(index)
	return out, err
}

// KeepAddons makes all that add-ons need besides a node image: images of OnDemandImages
// by their whole names, and files of modules. It returns the errors of Resolve and Build.
func KeepAddons(ctx context.Context, refs []string, files []ModuleFile, opts Options) ([]Kept, error) {
	c, err := LoadCatalog()
	if err != nil {
		return nil, err
	}
	return keepAddons(ctx, c, refs, files, Env{}, opts)
}

func keepAddons(ctx context.Context, c *Catalog, refs []string, files []ModuleFile, env Env, opts Options) ([]Kept, error) {
	var out []Kept
	for _, ref := range refs {
		dir, err := onDemandSet(c, ref).keep(ctx, env, opts)
		if err != nil {
			return nil, err
		}
		out = append(out, Kept{filepath.Base(dir), dir})
	}
	dirs, err := moduleFolders(ctx, c, files, env, opts)
	for _, dir := range dirs {
		out = append(out, Kept{filepath.Base(dir), dir})
	}
	return out, err
}

// KeptAddonNames are the names of what KeepAddons gives when the version of Go is
// toolchain.
func KeptAddonNames(ctx context.Context, refs []string, files []ModuleFile, toolchain string) ([]string, error) {
	c, err := LoadCatalog()
	if err != nil {
		return nil, err
	}
	return keptAddonNames(ctx, c, refs, files, Env{Toolchain: toolchain})
}

func keptAddonNames(ctx context.Context, c *Catalog, refs []string, files []ModuleFile, env Env) ([]string, error) {
	var names []string
	for _, ref := range refs {
		name, err := onDemandSet(c, ref).step(ctx, env)
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	for _, f := range files {
		g, err := f.graph(ctx, c, env)
		if err != nil {
			return nil, err
		}
		step, inputs, err := g.filesStep(f.Module, f.Path)
		if err != nil {
			return nil, err
		}
		name, err := outputName(step, inputs)
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}
