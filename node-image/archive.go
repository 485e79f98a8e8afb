package nodeimage

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/kluster-project/kluster/internal/nodespec"
)

// Archive is some container images, built, that can be written as an OCI archive.
// Its layers are files of the cache: see UseCache.
type Archive struct {
	records []nodespec.ImageRecord
	layout  ociLayout
}

// BuildArchive makes conformance images of spec's version, from the cache where it
// can: those named by refs, which are ConformanceImages' names. It returns the errors
// of Resolve and Build.
func BuildArchive(ctx context.Context, spec Spec, refs []string, opts Options) (*Archive, error) {
	c, err := LoadCatalog()
	if err != nil {
		return nil, err
	}
	return buildArchive(ctx, c, spec, refs, Env{}, opts)
}

func buildArchive(ctx context.Context, c *Catalog, spec Spec, refs []string, env Env, opts Options) (*Archive, error) {
	kept, err := conformanceSet(c, spec).kept(ctx, refs, env, opts)
	if err != nil || kept != nil {
		return kept, err
	}
	r, err := resolveArchive(ctx, c, spec, refs, env)
	if err != nil {
		return nil, err
	}
	return r.archive(ctx, refs, opts)
}

// archive makes those images of the recipe that refs name.
func (r *Recipe) archive(ctx context.Context, refs []string, opts Options) (*Archive, error) {
	b, err := newBuilder(r, opts)
	if err != nil {
		return nil, err
	}
	p, err := b.parts(ctx)
	if err != nil {
		return nil, err
	}
	images, err := b.clusterImages(ctx, p)
	if err != nil {
		return nil, err
	}
	images = slices.DeleteFunc(images, func(img clusterImage) bool { return !slices.Contains(refs, img.spec.Ref) })
	a := &Archive{}
	for _, img := range images {
		a.records = append(a.records, img.record)
	}
	a.layout, err = layoutOf(images)
	return a, err
}

// resolveArchive pins the inputs of conformance images, and of those they are made
// from.
func resolveArchive(ctx context.Context, c *Catalog, spec Spec, refs []string, env Env) (*Recipe, error) {
	if err := check(c, &spec); err != nil {
		return nil, err
	}
	x := resolver{c: c, spec: spec}
	if err := x.begin(ctx, env); err != nil {
		return nil, err
	}
	if err := c.hasConformance(x.k); err != nil {
		return nil, err
	}
	isConformance := func(img ContainerImage) bool { return img.Conformance != "" && c.uses(x.k, img) }
	if err := x.pickImages(refs, "conformance images", isConformance); err != nil {
		return nil, err
	}
	return x.containersOnly(ctx)
}

// containersOnly pins the inputs of the images that were picked, and no node's.
func (x *resolver) containersOnly(ctx context.Context) (*Recipe, error) {
	x.use(func(Component) bool { return false })
	x.compiled = x.c.Components // as for a node image, whose programs the cache has
	var roots []string
	if slices.ContainsFunc(x.components, func(comp Component) bool { return comp.C != "" || x.c.graph(comp.Graph).CGO }) {
		roots = append(roots, builderRoot)
	}
	x.pickRoots(roots...)
	x.r.steps = map[string]time.Duration{}
	for _, step := range []func(context.Context) error{x.programs, x.graphs, x.images} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return x.r, nil
}

// pickImages picks images by name, of those that among says, and those they are made
// from. kind is what an error calls them.
func (x *resolver) pickImages(refs []string, kind string, among func(ContainerImage) bool) error {
	wanted := map[string]bool{}
	var known []string
	for _, img := range slices.Backward(x.c.Images) { // an image stands behind the one it is from
		ref := x.expand(img.Ref, "", x.k.Version)
		if among(img) {
			known = append(known, ref)
		}
		if wanted[ref] || (among(img) && slices.Contains(refs, ref)) {
			wanted[ref] = true
			wanted[x.expand(img.From, "", x.k.Version)] = true
			x.containers = append(x.containers, img)
		}
	}
	slices.Reverse(x.containers)
	for _, ref := range refs {
		if !slices.Contains(known, ref) {
			return &SpecError{"image", fmt.Sprintf("%q is none of the %s: %s", ref, kind, strings.Join(known, ", "))}
		}
	}
	return nil
}

// Images lists what the archive holds.
func (a *Archive) Images() []nodespec.ImageRecord { return a.records }

// Digest is that of the archive's index: equal digests, equal images.
func (a *Archive) Digest() string { return digestOf(a.layout.index) }

// WriteTo writes the archive: an OCI layout as a tar stream.
func (a *Archive) WriteTo(w io.Writer) (int64, error) {
	counted := &counter{}
	lw := &layerWriter{tar: tar.NewWriter(io.MultiWriter(w, counted)), seen: map[string]bool{}}
	err := a.layout.write(lw)
	if err == nil {
		err = lw.tar.Close()
	}
	if err != nil {
		return counted.n, fmt.Errorf("writing an archive of images: %w", err)
	}
	return counted.n, nil
}

func (l ociLayout) write(w *layerWriter) error {
	if err := w.text("oci-layout", 0o644, string(l.version)); err != nil {
		return err
	}
	if err := w.text("index.json", 0o644, string(l.index)); err != nil {
		return err
	}
	for _, b := range l.blobs {
		put := func(name string) error { return w.hostFile(name, 0o644, b.path) }
		if b.path == "" {
			put = func(name string) error { return w.text(name, 0o644, string(b.data)) }
		}
		if err := put("blobs/sha256/" + b.hex); err != nil {
			return err
		}
	}
	return nil
}
