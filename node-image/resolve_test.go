package nodeimage

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCatalogIsSound(t *testing.T) {
	c, err := LoadCatalog()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"v1.36.3", "v1.35.4", "v1.34.4", "v1.33.13"}, c.Versions()); diff != "" {
		t.Error(diff)
	}
	m := newMachine(t)
	for _, v := range c.Versions() {
		spec := m.spec()
		spec.Kubernetes = v
		for _, img := range m.resolve(spec).Images {
			if strings.ContainsAny(img.Ref, "{}") || strings.Contains(img.Ref, "vv") || strings.HasSuffix(img.Ref, ":") {
				t.Errorf("%s: image %s", v, img.Ref)
			}
		}
	}
}

func TestParseCatalogReportsEveryProblem(t *testing.T) {
	_, err := ParseCatalog([]byte(`
kubernetes: [{version: "1.36"}]
components: [{name: a, graph: none, package: x, target: rel, layer: nowhere}, {name: a, graph: none, shared: true}]
images: [{ref: "x:{none}", root: none, files: [{component: b, path: x}]}]
`))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{`kubernetes "1.36"`, "component a: twice", `no graph "none"`, "needs one of package, own, c, file and extract", "absolute path", `no layer "nowhere"`, "shared, but in no layer", `no root "none"`, `no component "b"`, "has no version of what its name asks for"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	if _, err := ParseCatalog([]byte("kubernetes: []\nnonsense: 1")); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("unknown field: %v", err)
	}
}

func TestDigestFollowsInputs(t *testing.T) {
	m := newMachine(t)
	base := m.resolve(m.spec())
	if again := m.resolve(m.spec()); again.Digest() != base.Digest() {
		t.Error("the same spec has two digests")
	}
	if want := "kluster/node:v1.36.3-" + base.Digest()[7:19]; base.Ref() != want {
		t.Errorf("ref is %s, want %s", base.Ref(), want)
	}
	own := m.write("own", "mine")
	newer := m.write("newer", "newer node program")
	seen := map[string]string{base.Digest(): "base"}
	for name, change := range map[string]func(*Spec){
		"version":   func(s *Spec) { s.Kubernetes = "1.35.4" },
		"component": func(s *Spec) { s.Overrides = map[string]string{"kubelet": own} },
		"node":      func(s *Spec) { s.NodeBinary = newer },
		"release":   func(s *Spec) { s.Source = SourceRelease },
		"arch":      func(s *Spec) { s.Arch = "arm64" },
		"toolchain": func(*Spec) { m.write("go.version", "go1.99.1\n") },
	} {
		spec := m.spec()
		change(&spec)
		got := m.resolve(spec).Digest()
		m.write("go.version", "go1.99.0\n")
		if other, ok := seen[got]; ok {
			t.Errorf("%s has the digest of %s", name, other)
		}
		seen[got] = name
	}
}

func TestResolveRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*machine, *Spec)
		want   any
		says   string
	}{
		"unknown version":   {func(_ *machine, s *Spec) { s.Kubernetes = "v1.2.3" }, new(*UnknownVersionError), "v1.36.3, v1.35.4"},
		"unknown component": {func(_ *machine, s *Spec) { s.Overrides = map[string]string{"kublet": "x"} }, new(*SpecError), "kubelet"},
		"unknown source":    {func(_ *machine, s *Spec) { s.Source = "pigeon" }, new(*SpecError), "pigeon"},
		"unknown runtime":   {func(_ *machine, s *Spec) { s.Runtimes = []string{"rkt"} }, new(*SpecError), "containerd"},
		"not a checkout":    {func(m *machine, s *Spec) { s.Checkout = m.dir }, new(*SpecError), "no checkout"},
		"no git": {func(m *machine, s *Spec) {
			m.write("tree/go.mod", "module k8s.io/kubernetes\n")
			s.Checkout = m.path("tree")
		}, new(*SpecError), "not a git repository"},
		"another module": {func(m *machine, s *Spec) {
			m.write("tree/go.mod", "module example.com/x\n")
			s.Checkout = m.path("tree")
		}, new(*SpecError), `the module "example.com/x"`},
		"no Go":  {func(m *machine, _ *Spec) { m.env.Go = "/nowhere/go" }, new(*ToolchainError), "no Go toolchain"},
		"old Go": {func(m *machine, _ *Spec) { m.write("go.version", "go1.20.1\n") }, new(*ToolchainError), "go1.20.1 is too old"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			spec := m.spec()
			c.change(m, &spec)
			_, err := Resolve(context.Background(), spec, m.env)
			if err == nil || !errors.As(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %T: %v", err, err)
			}
		})
	}
}
