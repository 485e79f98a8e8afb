package nodeimage

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	ocilayout "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

func (m *machine) conformanceSpec() Spec {
	spec := m.spec()
	spec.Conformance = true
	return spec
}

// conformance are the images that v1.36's conformance tests use, as
// test/utils/image/manifest.go has them.
var conformance = []string{
	"registry.k8s.io/etcd:3.6.8-0",
	"registry.k8s.io/pause:3.10.2",
	"registry.k8s.io/e2e-test-images/busybox:1.37.0-1",
	"registry.k8s.io/e2e-test-images/agnhost:2.63.0",
	"registry.k8s.io/e2e-test-images/agnhost:2.55",
	"registry.k8s.io/e2e-test-images/nautilus:1.8",
	"registry.k8s.io/e2e-test-images/kitten:1.8",
	"registry.k8s.io/e2e-test-images/nginx:1.15-4",
	"registry.k8s.io/e2e-test-images/glibc-dns-testing:2.0.0",
	"registry.k8s.io/e2e-test-images/nonewprivs:1.4",
	"registry.k8s.io/e2e-test-images/sample-apiserver:1.29.2",
}

func TestConformanceImages(t *testing.T) {
	list, err := ConformanceImages("v1.36.3")
	if err != nil {
		t.Fatal(err)
	}
	var refs []string
	for _, img := range list {
		refs = append(refs, img.Ref)
		if img.StandIn == "" {
			t.Errorf("%s does not say how it differs from upstream's", img.Ref)
		}
	}
	if diff := cmp.Diff(conformance, refs); diff != "" {
		t.Error(diff)
	}
	older, err := ConformanceImages("v1.35.4")
	if err != nil || slices.ContainsFunc(older, func(img ConformanceImage) bool { return img.Pulled }) || len(older) != 10 {
		t.Errorf("v1.35.4: %+v, %v", older, err)
	}
	_, err = ConformanceImages("v1.34.4")
	var refused *SpecError
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "no conformance images for Kubernetes v1.34.4 yet; there are for: v1.36.3, v1.35.4") {
		t.Errorf("err = %v", err)
	}
}

func TestOnlyConformanceNodesHoldTheImages(t *testing.T) {
	m := newMachine(t)
	ordinary, full := m.resolve(m.spec()), m.resolve(m.conformanceSpec())
	refsOf := func(r *Recipe) []string {
		var refs []string
		for _, img := range r.Images {
			refs = append(refs, img.Ref)
		}
		return refs
	}
	for _, ref := range conformance[4:] {
		if slices.Contains(refsOf(ordinary), ref) || !slices.Contains(refsOf(full), ref) {
			t.Errorf("%s: in the ordinary image or not in the other", ref)
		}
	}
	if ordinary.Ref() == full.Ref() {
		t.Error("both have one name")
	}
	for _, name := range []string{"nonewprivs", "sample-apiserver"} {
		if ordinary.program(name) != nil || full.program(name) == nil {
			t.Errorf("%s: in the ordinary image or not in the other", name)
		}
	}
	if ordinary.graph("e2e") != nil || len(ordinary.Roots) == len(full.Roots) {
		t.Error("the ordinary image needs what only the other has")
	}
}

func (m *machine) clusterImages(spec Spec) map[string]clusterImage {
	m.t.Helper()
	b, err := newBuilder(m.resolve(spec), Options{CacheDir: m.t.TempDir(), Sandbox: &fakeSandbox{}})
	if err != nil {
		m.t.Fatal(err)
	}
	p, err := b.parts(context.Background())
	if err != nil {
		m.t.Fatal(err)
	}
	images, err := b.clusterImages(context.Background(), p)
	if err != nil {
		m.t.Fatal(err)
	}
	out := map[string]clusterImage{}
	for _, img := range images {
		out[shortName(img.spec.Ref)+img.spec.Ref[strings.LastIndex(img.spec.Ref, ":")+1:]] = img
	}
	return out
}

func configOf(t *testing.T, img v1.Image) v1.Config {
	t.Helper()
	file, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return file.Config
}

func TestConformanceImagesAreMade(t *testing.T) {
	m := newMachine(t)
	got := m.clusterImages(m.conformanceSpec())
	now, before := got["agnhost2.63.0"], got["agnhost2.55"]
	if diff := cmp.Diff(diffIDs(t, now.image), diffIDs(t, before.image)); diff != "" {
		t.Errorf("the previous agnhost has other layers: %s", diff)
	}
	if now.record.Digest == before.record.Digest {
		t.Error("both agnhosts are one image")
	}
	if diff := cmp.Diff(configOf(t, now.image).Entrypoint, configOf(t, before.image).Entrypoint); diff != "" {
		t.Error(diff)
	}
	kitten := files(t, got["kitten1.8"].image)
	if kitten["data.json"] != "kitten/html/data.json" || !strings.Contains(kitten["etc/os-release"], "Alpine Linux") {
		t.Errorf("kitten holds %v", kitten)
	}
	nautilus := files(t, got["nautilus1.8"].image)
	if nautilus["data.json"] != "nautilus/html/data.json" || nautilus["agnhost"] == "" {
		t.Errorf("nautilus holds %v", nautilus)
	}
	if diff := cmp.Diff([]string{"test-webserver"}, configOf(t, got["nautilus1.8"].image).Cmd); diff != "" {
		t.Error(diff)
	}
	nginx := files(t, got["nginx1.15-4"].image)
	if nginx["usr/sbin/nginx"] != "nginx\n" || !strings.Contains(nginx["etc/nginx/nginx.conf"], "listen 80;") || nginx["etc/passwd"] == skeleton["etc/passwd"] {
		t.Errorf("nginx holds %v", nginx)
	}
	if layers := got["glibc-dns-testing2.0.0"].layers; len(layers) != 1 {
		t.Errorf("glibc-dns-testing has %d layers of its own", len(layers)-1)
	}
	if mode := modeOf(t, got["nonewprivs1.4"].layers[0].path, "usr/local/bin/nnp"); mode != 0o4755 {
		t.Errorf("nnp has mode %o", mode)
	}
}

func modeOf(t *testing.T, archive, name string) int64 {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for tr := tar.NewReader(f); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			t.Fatalf("no %s", name)
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Name == name {
			return h.Mode
		}
	}
}

func (m *machine) archive(refs ...string) (*Archive, *fakeSandbox) {
	m.t.Helper()
	c, err := LoadCatalog()
	if err != nil {
		m.t.Fatal(err)
	}
	sandbox, log := &fakeSandbox{}, &progressLog{}
	a, err := buildArchive(context.Background(), c, m.spec(), refs, m.env, Options{CacheDir: m.t.TempDir(), Sandbox: sandbox, Progress: log})
	if err != nil {
		m.t.Fatal(err)
	}
	if log.done != log.total || log.total == 0 {
		m.t.Errorf("progress ended at %d of %d", log.done, log.total)
	}
	return a, sandbox
}

func TestArchive(t *testing.T) {
	m := newMachine(t)
	kitten := conformance[6]
	a, sandbox := m.archive(kitten)
	dir := t.TempDir()
	var text strings.Builder
	n, err := a.WriteTo(&text)
	if err != nil || n != int64(text.Len()) {
		t.Fatalf("%d of %d bytes, %v", n, text.Len(), err)
	}
	untar(t, dir, strings.NewReader(text.String()))
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
	if len(list.Manifests) != 1 || list.Manifests[0].Annotations["io.containerd.image.name"] != kitten {
		t.Errorf("the archive holds %+v", list.Manifests)
	}
	if got := a.Images(); len(got) != 1 || got[0].Ref != kitten || got[0].Digest != list.Manifests[0].Digest.String() {
		t.Errorf("the archive says that it holds %+v", got)
	}
	if len(sandbox.runs) > 0 {
		t.Errorf("built in a sandbox, for nothing: %v", sandbox.runs)
	}
	again, _ := m.archive(kitten)
	other, _ := m.archive(kitten, conformance[1])
	if again.Digest() != a.Digest() || other.Digest() == a.Digest() {
		t.Errorf("digests %s, again %s, of two images %s", a.Digest(), again.Digest(), other.Digest())
	}
}

func TestArchiveHasTheImagesOfTheNode(t *testing.T) {
	m := newMachine(t)
	a, _ := m.archive(conformance...)
	node := m.clusterImages(m.conformanceSpec())
	for _, got := range a.Images() {
		img := node[shortName(got.Ref)+got.Ref[strings.LastIndex(got.Ref, ":")+1:]]
		if diff := cmp.Diff(img.record, got); diff != "" {
			t.Error(diff)
		}
	}
	if len(a.Images()) != len(conformance) {
		t.Errorf("%d images", len(a.Images()))
	}
}

func TestArchiveRefuses(t *testing.T) {
	_, err := BuildArchive(context.Background(), Spec{Kubernetes: "v1.36.3"}, []string{"docker.io/library/foo:1"}, Options{CacheDir: t.TempDir()})
	var refused *SpecError
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "kitten:1.8") {
		t.Errorf("err = %v", err)
	}
}

// untar unpacks regular files.
func untar(t *testing.T, dir string, r io.Reader) {
	t.Helper()
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(h.Name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := writeFile(filepath.Join(dir, h.Name), tr); err != nil {
			t.Fatal(err)
		}
	}
}
