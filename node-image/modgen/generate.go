package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"

	nodeimage "github.com/kluster-project/kluster/node-image"
)

// job is one module graph in one version.
type job struct {
	graph    nodeimage.Graph
	version  string
	packages []string
	tests    []string // packages whose tests are programs
}

// jobs lists every graph in every version that some Kubernetes version needs.
func jobs(c *nodeimage.Catalog) []job {
	var out []job
	seen := map[string]bool{}
	for _, k := range c.Kubernetes {
		for _, g := range c.Graphs {
			j := job{graph: g, version: c.VersionOf(g.Name, k)}
			key := g.Name + j.version
			if seen[key] || slices.Contains(k.Without, g.Name) {
				continue
			}
			seen[key] = true
			for _, p := range slices.Concat(c.Components, c.Suite.Programs) {
				if p.Graph == g.Name && p.Package != "" {
					j.packages = append(j.packages, p.Package)
				}
			}
			if c.Suite.Graph == g.Name {
				j.tests = []string{c.Suite.Test}
			}
			if c.CRI.Graph == g.Name {
				j.tests = []string{c.CRI.Test}
			}
			out = append(out, j)
		}
	}
	return out
}

// generate writes out/mod and out/sum.
func (j job) generate(ctx context.Context, out string) error {
	tmp, err := os.MkdirTemp("", "modgen-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	mod, err := j.module(ctx)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(tmp, "go.mod"), mod, 0o644); err != nil {
		return err
	}
	for _, name := range j.graph.Own {
		if err := addOwn(tmp, name); err != nil {
			return err
		}
	}
	if err := tidy(ctx, tmp); err != nil {
		return err
	}
	for _, p := range j.tests {
		if err := importTests(ctx, tmp, p); err != nil {
			return err
		}
	}
	packages := slices.Clone(j.packages)
	for _, name := range j.graph.Own {
		packages = append(packages, "./"+name)
	}
	if len(packages) > 0 {
		if _, err := goRun(ctx, tmp, append([]string{"list", "-mod=readonly", "-deps"}, packages...)...); err != nil {
			return err
		}
	}
	if len(j.tests) > 0 {
		if _, err := goRun(ctx, tmp, append([]string{"list", "-mod=readonly", "-deps", "-test"}, j.tests...)...); err != nil {
			return err
		}
	}
	return install(tmp, out)
}

func tidy(ctx context.Context, dir string) error {
	// -e: tests of dependencies import packages that no module has.
	_, err := goRun(ctx, dir, "mod", "tidy", "-e")
	return err
}

// importTests makes the module in dir fit for tests of its own that import what those
// of a package do: go.mod must list more for what the main module itself imports.
func importTests(ctx context.Context, dir, pkg string) error {
	out, err := goRun(ctx, dir, "list", "-mod=readonly", "-f", `{{join .TestImports "\n"}}{{"\n"}}{{join .XTestImports "\n"}}`, pkg)
	if err != nil {
		return err
	}
	text := "package own\n"
	for _, p := range append(strings.Fields(string(out)), pkg) {
		text += fmt.Sprintf("import _ %q\n", p)
	}
	own := filepath.Join(dir, "own")
	if err := os.Mkdir(own, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(own)
	if err := os.WriteFile(filepath.Join(own, "own_test.go"), []byte(text), 0o644); err != nil {
		return err
	}
	return tidy(ctx, dir)
}

// addOwn puts a program of kluster's own into the module in dir.
func addOwn(dir, name string) error {
	source, err := nodeimage.OwnSource(name)
	if err != nil {
		return err
	}
	own := filepath.Join(dir, name)
	if err := os.Mkdir(own, 0o755); err != nil {
		return err
	}
	for file, text := range source {
		if err := os.WriteFile(filepath.Join(own, file), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// module is the go.mod to start from: the modules, and their own replacements
// as far as these do not name folders.
func (j job) module(ctx context.Context) ([]byte, error) {
	f := &modfile.File{}
	steps := []error{f.AddModuleStmt("kluster.dev/build/" + j.graph.Name)}
	for _, m := range j.graph.Modules {
		upstream, err := upstreamMod(ctx, m, j.graph.ModuleVersion(j.version))
		if err != nil {
			return nil, err
		}
		steps = append(steps, f.AddRequire(m, j.graph.ModuleVersion(j.version)), f.AddGoStmt(newer(f, upstream)))
		if j.graph.Incompatible {
			for _, r := range upstream.Require {
				steps = append(steps, f.AddRequire(r.Mod.Path, r.Mod.Version))
			}
		}
		for _, r := range upstream.Replace {
			if r.New.Version != "" {
				steps = append(steps, f.AddReplace(r.Old.Path, r.Old.Version, r.New.Path, r.New.Version))
			}
		}
		if j.graph.Staging {
			steps = append(steps, addStaging(f, upstream, j.version))
		}
	}
	for _, m := range slices.Sorted(maps.Keys(j.graph.Replace)) {
		steps = append(steps, f.AddReplace(m, "", m, j.graph.Replace[m]))
	}
	for _, p := range slices.Concat(j.packages, j.tests) {
		steps = append(steps, f.AddTool(p))
	}
	for _, err := range steps {
		if err != nil {
			return nil, err
		}
	}
	return f.Format()
}

// newer is the later of the two go versions.
func newer(f, upstream *modfile.File) string {
	if f.Go != nil && f.Go.Version > upstream.Go.Version {
		return f.Go.Version
	}
	return upstream.Go.Version
}

// addStaging replaces the modules that Kubernetes' own go.mod finds in its
// tree by their published versions: v1.36.3 is v0.36.3 there.
func addStaging(f, upstream *modfile.File, version string) error {
	published := "v0." + strings.TrimPrefix(version, "v1.")
	for _, r := range upstream.Require {
		if strings.HasPrefix(r.Mod.Path, "k8s.io/") && r.Mod.Version == "v0.0.0" {
			if err := f.AddReplace(r.Mod.Path, "", r.Mod.Path, published); err != nil {
				return err
			}
		}
	}
	return nil
}

func upstreamMod(ctx context.Context, module, version string) (*modfile.File, error) {
	data, err := goRun(ctx, os.TempDir(), "mod", "download", "-json", module+"@"+version)
	if err != nil {
		return nil, err
	}
	var got struct{ GoMod, Dir string }
	if err := json.Unmarshal(data, &got); err != nil {
		return nil, fmt.Errorf("reading what go says of %s: %w", module, err)
	}
	if strings.HasSuffix(version, "+incompatible") {
		got.GoMod = filepath.Join(got.Dir, "vendor.mod")
	}
	text, err := os.ReadFile(got.GoMod)
	if err != nil {
		return nil, err
	}
	return modfile.Parse(got.GoMod, text, nil)
}

func goRun(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOTOOLCHAIN=local")
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return out, nil
}

func install(tmp, out string) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	for from, to := range map[string]string{"go.mod": "mod", "go.sum": "sum"} {
		data, err := os.ReadFile(filepath.Join(tmp, from))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(out, to), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}
