package nodeimage

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/cri"
)

func TestImageWithEveryRuntime(t *testing.T) {
	m := newMachine(t)
	spec := m.spec()
	spec.Runtimes = slices.Clone(cri.Names())
	slices.Reverse(spec.Runtimes)
	img, manifest, sandbox, _ := m.build(spec, t.TempDir())
	got := files(t, img)
	for _, name := range []string{
		"opt/kluster/programs/containerd/containerd", "opt/kluster/programs/docker/dockerd", "opt/kluster/programs/docker/cri-dockerd",
		"opt/kluster/programs/cri-o/crio", "opt/kluster/programs/cri-o/pinns", "opt/kluster/programs/cri-o/kluster-images",
		"usr/bin/conmon", "usr/bin/crun", "usr/lib/x86_64-linux-gnu/libglib-2.0.so.0",
	} {
		if got[name] == "" {
			t.Errorf("no %s", name)
		}
	}
	for _, name := range cri.Names() {
		runtime, err := cri.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		index := got["opt/kluster/store/"+name+"/"+runtime.Store.Parts[0]+"/meta.db"]
		if !strings.Contains(index, "registry.k8s.io/kube-apiserver:v1.36.3") {
			t.Errorf("the store of %s was made from %q", name, index)
		}
		if !slices.Contains(sandbox.runs, "store-"+name) {
			t.Errorf("no store was made for %s", name)
		}
	}
	if diff := cmp.Diff(cri.Names(), manifest.Runtimes); diff != "" {
		t.Error(diff)
	}
}

// An image for one runtime has none of the others' programs, and its store is the one
// that an image with more runtimes has.
func TestImageWithOneRuntime(t *testing.T) {
	m, cache := newMachine(t), t.TempDir()
	all := m.spec()
	all.Runtimes = cri.Names()
	m.build(all, cache)
	one := m.spec()
	one.Runtimes = []string{"cri-o"}
	img, _, sandbox, _ := m.build(one, cache)
	if len(sandbox.runs) != 0 {
		t.Errorf("made again: %v", sandbox.runs)
	}
	for name := range files(t, img) {
		for _, other := range []string{"programs/containerd/", "programs/docker/", "store/containerd/", "store/cri-dockerd/"} {
			if strings.Contains(name, other) {
				t.Errorf("%s is in the image", name)
			}
		}
	}
}

func TestOrderOfRuntimesDoesNotMatter(t *testing.T) {
	m := newMachine(t)
	digest := func(names ...string) string {
		spec := m.spec()
		spec.Runtimes = names
		return m.resolve(spec).Digest()
	}
	if digest("cri-o", "containerd") != digest("containerd", "cri-o", "containerd") {
		t.Error("the same runtimes in another order make another image")
	}
	if digest() != digest("containerd") {
		t.Error("containerd is not the default")
	}
	if digest("containerd") == digest("cri-o") {
		t.Error("two runtimes make one image")
	}
}

func TestUnknownRuntime(t *testing.T) {
	m := newMachine(t)
	spec := m.spec()
	spec.Runtimes = []string{"rkt"}
	if _, err := Resolve(t.Context(), spec, m.env); err == nil || !strings.Contains(err.Error(), "cri-dockerd") {
		t.Errorf("the error does not say what is known: %v", err)
	}
}

func TestGraphWithProgramsOfOurOwn(t *testing.T) {
	m := newMachine(t)
	spec := m.spec()
	spec.Runtimes = []string{"cri-o", "cri-dockerd"}
	r := m.resolve(spec)
	own := r.graph("kluster-images")
	if !slices.Contains(own.Packages, "./kluster-images") || own.Own["kluster-images"] == "" {
		t.Errorf("builds %v, with %v of our own", own.Packages, own.Own)
	}
	if p := r.program("dockerd"); p.Version != "v28.5.2" || p.Source != "module github.com/docker/docker@v28.5.2+incompatible" {
		t.Errorf("dockerd is %s of %s", p.Version, p.Source)
	}
}
