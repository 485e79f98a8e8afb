package nodeimage

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	ocilayout "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// critestPulls are the images whose names are in cri-tools v1.36.0, but for the one
// that it asks for by a digest.
var critestPulls = []string{
	"registry.k8s.io/e2e-test-images/busybox:1.29-2",
	"registry.k8s.io/e2e-test-images/nginx:1.14-2",
	"gcr.io/k8s-staging-cri-tools/hostnet-nginx-amd64:latest",
	"registry.k8s.io/e2e-test-images/httpd:2.4.39-4",
	"registry.k8s.io/e2e-test-images/nonewprivs:1.3",
	"registry.k8s.io/pause:3.9", // k8s.gcr.io's too
	"gcr.io/k8s-staging-cri-tools/test-image-predefined-group:latest",
	"gcr.io/k8s-staging-cri-tools/test-image-tag:test",
	"gcr.io/k8s-staging-cri-tools/test-image-tag:all",
	"gcr.io/k8s-staging-cri-tools/test-image-latest:latest",
	"gcr.io/k8s-staging-cri-tools/test-image-1:latest",
	"gcr.io/k8s-staging-cri-tools/test-image-2:latest",
	"gcr.io/k8s-staging-cri-tools/test-image-3:latest",
	"gcr.io/k8s-staging-cri-tools/test-image-tags:1",
	"gcr.io/k8s-staging-cri-tools/test-image-tags:2",
	"gcr.io/k8s-staging-cri-tools/test-image-tags:3",
	"gcr.io/k8s-staging-cri-tools/test-image-user-uid:latest",
	"gcr.io/k8s-staging-cri-tools/test-image-user-username:latest",
	"gcr.io/k8s-staging-cri-tools/test-image-user-uid-group:latest",
	"gcr.io/k8s-staging-cri-tools/test-image-user-username-group:latest",
}

func (m *machine) criImages() *CRIImages {
	m.t.Helper()
	c, err := LoadCatalog()
	if err != nil {
		m.t.Fatal(err)
	}
	opts := Options{CacheDir: m.t.TempDir(), Sandbox: &fakeSandbox{}}
	images, err := buildCRIImages(m.t.Context(), c, Spec{Arch: "amd64"}, m.env, opts)
	if err != nil {
		m.t.Fatal(err)
	}
	return images
}

func TestCRIImagesHaveTheNamesThatCritestAsksFor(t *testing.T) {
	images := newMachine(t).criImages()
	dir := t.TempDir()
	var text bytes.Buffer
	if _, err := images.WriteTo(&text); err != nil {
		t.Fatal(err)
	}
	untar(t, dir, &text)
	index, err := ocilayout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index, validate.Fast); err != nil {
		t.Error(err)
	}
	list, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var served, placed []string
	for _, entry := range list.Manifests {
		served = append(served, entry.Annotations["io.containerd.image.name"]+"@"+entry.Digest.String())
	}
	var refs []string
	for _, img := range images.Placed {
		refs, placed = append(refs, img.Ref), append(placed, img.Ref+"@"+img.Digest)
		if img.StandIn == "" {
			t.Errorf("%s does not say how it differs from upstream's", img.Ref)
		}
	}
	if diff := cmp.Diff(critestPulls, refs); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(served, placed); diff != "" {
		t.Errorf("the archive holds others than it says: %s", diff)
	}
	if !slices.Contains(images.Registries, "k8s.gcr.io") {
		t.Errorf("nobody is asked for k8s.gcr.io/pause: %v", images.Registries)
	}
}

// TestOnlySameCRIImagesAreOne: specs count the tags of an image and remove images by
// their digests, so that no other may have the same, and no image of a node.
func TestOnlySameCRIImagesAreOne(t *testing.T) {
	m := newMachine(t)
	names := map[string][]string{}
	for _, img := range m.criImages().Placed {
		names[img.Digest] = append(names[img.Digest], strings.TrimPrefix(img.Ref, "gcr.io/k8s-staging-cri-tools/"))
	}
	for _, img := range m.clusterImages(m.spec()) {
		names[img.record.Digest] = append(names[img.record.Digest], img.spec.Ref)
	}
	var shared [][]string
	for _, same := range names {
		if len(same) > 1 {
			shared = append(shared, same)
		}
	}
	slices.SortFunc(shared, func(a, b []string) int { return len(a) - len(b) })
	want := [][]string{{"test-image-tag:test", "test-image-tag:all"}, {"test-image-tags:1", "test-image-tags:2", "test-image-tags:3"}}
	if diff := cmp.Diff(want, shared); diff != "" {
		t.Error(diff)
	}
}

// TestCRIShell: critest hides ls, and runs sh, which must be another file.
func TestCRIShell(t *testing.T) {
	m := newMachine(t)
	c, err := LoadCatalog()
	if err != nil {
		t.Fatal(err)
	}
	x := resolver{c: c, spec: Spec{Arch: "amd64"}, containers: c.CRI.Images[:1]}
	if err := x.begin(t.Context(), m.env); err != nil {
		t.Fatal(err)
	}
	r, err := x.containersOnly(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b, err := newBuilder(r, Options{CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	p, err := b.parts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	images, err := b.clusterImages(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	layer, err := images[0].layers[1].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer layer.Close()
	first := ""
	for tr := tar.NewReader(layer); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeDir {
			continue
		}
		if first == "" {
			first = h.Name
			continue
		}
		if h.Typeflag != tar.TypeLink || h.Linkname != "usr/bin/busybox" {
			t.Errorf("%s is of type %c to %q", h.Name, h.Typeflag, h.Linkname)
		}
	}
	if first != "usr/bin/busybox" {
		t.Errorf("links come before %q", first)
	}
}

func TestHardLinkOfNothing(t *testing.T) {
	err := writeLayer(t.TempDir(), func(w *layerWriter) error { return w.hardLink("/bin/sh", "bin/busybox") })
	if err == nil || !strings.Contains(err.Error(), "no bin/busybox in this layer") {
		t.Errorf("err = %v", err)
	}
}

func TestCRITableIsChecked(t *testing.T) {
	for says, spoil := range map[string]func(*Catalog){
		"its host is none of the registries": func(c *Catalog) { c.CRI.Registries = nil },
		"needs standIn":                      func(c *Catalog) { c.CRI.Images[0].StandIn = "" },
		"neither conformance":                func(c *Catalog) { c.CRI.Images[0].Conformance = UsedOnly },
		"no root \"nothing\"":                func(c *Catalog) { c.CRI.Images[0].Root = "nothing" },
		"that is from no other":              func(c *Catalog) { c.CRI.Images[2].From = "registry.k8s.io/e2e-test-images/agnhost:{agnhost}" },
		"twice":                              func(c *Catalog) { c.CRI.Images[1].Ref = c.CRI.Images[0].Ref },
		"a graph that there is":              func(c *Catalog) { c.CRI.Graph = "nothing" },
	} {
		c, err := LoadCatalog()
		if err != nil {
			t.Fatal(err)
		}
		spoil(c)
		if err := c.validate(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
}
