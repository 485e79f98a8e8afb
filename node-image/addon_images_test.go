package nodeimage

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/kluster-project/kluster/internal/imageload"
)

func (m *machine) catalog() *Catalog {
	m.t.Helper()
	c, err := LoadCatalog()
	if err != nil {
		m.t.Fatal(err)
	}
	return c
}

func TestOnDemandImagesAreInNoNodeImage(t *testing.T) {
	refs, err := OnDemandImages()
	if err != nil {
		t.Fatal(err)
	}
	if refs["metrics-server"] != "registry.k8s.io/metrics-server/metrics-server:v0.9.0" {
		t.Errorf("images: %v", refs)
	}
	m := newMachine(t)
	spec := m.spec()
	spec.Conformance = true
	r := m.resolve(spec)
	for _, img := range r.Images {
		if refs[shortName(img.Ref)] != "" {
			t.Errorf("%s is in a node image", img.Ref)
		}
	}
	if r.graph("metrics-server") != nil {
		t.Error("a node image needs the module graph of an add-on")
	}
}

func TestBuildOnDemand(t *testing.T) {
	m := newMachine(t)
	const ref = "registry.k8s.io/metrics-server/metrics-server:v0.9.0"
	opts := Options{CacheDir: t.TempDir(), Sandbox: &fakeSandbox{}}
	archive, err := buildOnDemand(t.Context(), m.catalog(), []string{ref}, m.env, opts)
	if err != nil {
		t.Fatal(err)
	}
	if m.calls("go", "build") != 1 || m.calls("mmdebstrap", "") > 1 {
		t.Error("more was made than the image")
	}
	src, err := archive.Source()
	if err != nil {
		t.Fatal(err)
	}
	images := src.Images()
	if len(images) != 1 || !slices.Equal(images[0].Names, []string{ref}) {
		t.Fatalf("images: %v", images)
	}
	wanted := map[v1.Hash]bool{}
	for _, l := range images[0].Layers {
		wanted[l.Digest] = true
	}
	var read []v1.Hash
	err = src.Read(t.Context(), wanted, func(l imageload.Layer, r io.Reader) error {
		read = append(read, l.Digest)
		text, err := io.ReadAll(r)
		if int64(len(text)) != l.Size {
			t.Errorf("layer of %d bytes has %d", l.Size, len(text))
		}
		return err
	})
	if err != nil || len(read) != len(wanted) {
		t.Errorf("layers read: %v, err = %v", read, err)
	}
	if err := src.Read(t.Context(), nil, func(imageload.Layer, io.Reader) error { return errors.New("read") }); err != nil {
		t.Errorf("what nobody wants: %v", err)
	}
	// A layer that was damaged in the cache is noticed by whoever reads it.
	s := src.(*archiveSource)
	for h := range wanted {
		path := s.blobs[h.Hex].path
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, bytes.ToUpper(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	err = src.Read(t.Context(), wanted, func(_ imageload.Layer, r io.Reader) error { _, err := io.Copy(io.Discard, r); return err })
	if err == nil {
		t.Error("a damaged layer was read as if it were not")
	}
	_, err = buildOnDemand(t.Context(), m.catalog(), []string{"registry.k8s.io/pause:3.10.2"}, m.env, opts)
	var bad *SpecError
	if !errors.As(err, &bad) {
		t.Errorf("an image of nodes: err = %v", err)
	}
}

// TestSourceOfManyImages: a layer that images share is read once, and every image is
// what the archive says.
func TestSourceOfManyImages(t *testing.T) {
	m := newMachine(t)
	all, err := ConformanceImages("v1.36.3")
	if err != nil {
		t.Fatal(err)
	}
	var refs []string
	for _, img := range all {
		refs = append(refs, img.Ref)
	}
	archive, err := buildArchive(t.Context(), m.catalog(), m.spec(), refs, m.env, Options{CacheDir: t.TempDir(), Sandbox: &fakeSandbox{}})
	if err != nil {
		t.Fatal(err)
	}
	src, err := archive.Source()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	wanted, layers := map[v1.Hash]bool{}, 0
	for _, img := range src.Images() {
		names = append(names, img.Names...)
		for _, l := range img.Layers {
			wanted[l.Digest], layers = true, layers+1
		}
	}
	slices.Sort(names)
	slices.Sort(refs)
	if diff := cmp.Diff(refs, names); diff != "" {
		t.Error(diff)
	}
	read := 0
	err = src.Read(t.Context(), wanted, func(_ imageload.Layer, r io.Reader) error {
		read++
		_, err := io.Copy(io.Discard, r)
		return err
	})
	if err != nil || read != len(wanted) || read == layers {
		t.Errorf("%d reads of %d layers, of which %d differ; err = %v", read, layers, len(wanted), err)
	}
}

func TestModuleFiles(t *testing.T) {
	m := newMachine(t)
	m.write("module/crds/b.yaml", "b")
	m.write("module/crds/a.yaml", "a")
	m.write("module/crds/a.txt", "not asked for")
	opts := Options{CacheDir: t.TempDir()}
	read := func(path string) ([][][]byte, error) {
		return readModuleFiles(t.Context(), m.catalog(), []ModuleFile{{Graph: "metrics-server", Path: path}, {Graph: "metrics-server", Path: "crds/b.yaml"}}, m.env, opts)
	}
	for range 2 {
		got, err := read("crds/*.yaml")
		if err != nil {
			t.Fatal(err)
		}
		want := [][][]byte{{[]byte("a"), []byte("b")}, {[]byte("b")}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	if n := m.calls("go", "mod"); n > 2 {
		t.Errorf("the module was fetched %d times for two steps", n)
	}
	if _, err := read("crds/c.yaml"); err == nil || !strings.Contains(err.Error(), "has no file crds/c.yaml") {
		t.Errorf("err = %v", err)
	}
	if _, err := readModuleFiles(t.Context(), m.catalog(), []ModuleFile{{Graph: "none", Path: "a"}}, m.env, opts); err == nil {
		t.Error("a graph that there is not")
	}
}

// TestKeptAddons: a machine without Go, that was given what another one has made, has
// images and files of add-ons.
func TestKeptAddons(t *testing.T) {
	m := newMachine(t)
	m.write("module/crds/a.yaml", "a")
	const ref = "registry.k8s.io/metrics-server/metrics-server:v0.9.0"
	files := []ModuleFile{{Graph: "metrics-server", Path: "crds/*.yaml"}}
	kept, err := keepAddons(t.Context(), m.catalog(), []string{ref}, files, m.env, Options{CacheDir: t.TempDir(), Sandbox: &fakeSandbox{}})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	there := t.TempDir()
	for _, k := range kept {
		names = append(names, k.Name)
		if err := Put(t.Context(), there, k.Name, func(dir string) error { return os.CopyFS(dir, os.DirFS(k.Dir)) }); err != nil {
			t.Fatal(err)
		}
	}
	known, err := keptAddonNames(t.Context(), m.catalog(), []string{ref}, files, Env{Toolchain: "go1.99.0"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(names, known); diff != "" {
		t.Errorf("it is looked for under other names: %s", diff)
	}
	if err := AddToolchain(t.Context(), there, "go1.99.0"); err != nil {
		t.Fatal(err)
	}
	env := Env{Go: m.path("no-go")}
	opts := Options{CacheDir: there}
	archive, err := buildOnDemand(t.Context(), m.catalog(), []string{ref}, env, opts)
	if err != nil {
		t.Fatal(err)
	}
	src, err := archive.Source()
	if err != nil {
		t.Fatal(err)
	}
	if images := src.Images(); len(images) != 1 || images[0].Names[0] != ref || len(images[0].Layers) == 0 {
		t.Errorf("images: %v", images)
	}
	got, err := readModuleFiles(t.Context(), m.catalog(), files, env, opts)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][][]byte{{[]byte("a")}}, got); diff != "" {
		t.Error(diff)
	}
	_, err = readModuleFiles(t.Context(), m.catalog(), []ModuleFile{{Graph: "metrics-server", Path: "crds/a.yaml"}}, env, opts)
	if !isToolchainError(err) {
		t.Errorf("a file that nobody brought: err = %v", err)
	}
}
