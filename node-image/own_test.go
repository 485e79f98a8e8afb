package nodeimage

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// TestOwnPrograms runs the tests of programs of kluster's own: each in the module graph
// that the program is built with, since kluster has no such modules. Go fetches these
// when they are not there, as a build does.
func TestOwnPrograms(t *testing.T) {
	c, err := LoadCatalog()
	if err != nil {
		t.Fatal(err)
	}
	tested := 0
	for _, g := range c.Graphs {
		for _, name := range g.Own {
			tests, err := filepath.Glob(filepath.Join("_own", name, "*"+testSuffix))
			if err != nil {
				t.Fatal(err)
			}
			if len(tests) == 0 {
				continue
			}
			tested++
			t.Run(name, func(t *testing.T) { runOwnTests(t, c, g, name) })
		}
	}
	if tested == 0 {
		t.Error("no program of kluster's own has tests")
	}
}

func runOwnTests(t *testing.T, c *Catalog, g Graph, name string) {
	t.Helper()
	dir := t.TempDir()
	modules := filepath.Join("..", "configs", modulesDir(g.Name, c.VersionOf(g.Name, c.Kubernetes[0])))
	for from, to := range map[string]string{filepath.Join(modules, "mod"): "go.mod", filepath.Join(modules, "sum"): "go.sum"} {
		text, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, to), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(path.Join("_own", name))); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-trimpath", "-mod=readonly", "./"+name)
	cmd.Dir, cmd.Env = dir, goEnv("CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, said)
	}
}

func TestOwnSourceHasNoTests(t *testing.T) {
	source, err := OwnSource("kluster-containerd")
	if err != nil || source["main.go"] == nil {
		t.Fatal(source, err)
	}
	for name := range source {
		if strings.HasSuffix(name, testSuffix) {
			t.Errorf("%s would make another node image", name)
		}
	}
}
