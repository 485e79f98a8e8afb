package nodeimage

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBuildCRITests(t *testing.T) {
	m := newMachine(t)
	c, err := LoadCatalog()
	if err != nil {
		t.Fatal(err)
	}
	opts := Options{CacheDir: t.TempDir()}
	s, err := buildCRITests(t.Context(), c, Spec{Arch: "amd64"}, m.env, opts)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(s.Dir, PartCRI))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(string(text)); got != "sigs.k8s.io/cri-tools/cmd/critest" {
		t.Errorf("it was made of %s", got)
	}
	p := s.Parts[0]
	if len(s.Parts) != 1 || p.Name != PartCRI || p.Version != "v1.36.0" || p.Source != "module sigs.k8s.io/cri-tools@v1.36.0" || p.Digest != digestOf(text) {
		t.Errorf("%+v", s.Parts)
	}
	compiled := m.calls("go", "test")
	if _, err := buildCRITests(t.Context(), c, Spec{Arch: "amd64"}, m.env, opts); err != nil || m.calls("go", "test") != compiled {
		t.Errorf("it was made again: %v", err)
	}
}
