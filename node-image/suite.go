package nodeimage

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/modfile"
)

// SuiteSpec is the e2e suite that is wanted.
type SuiteSpec struct {
	Kubernetes string // "v1.36.3"; "" for the default
	// Source of the programs that upstream publishes; see Spec.Source.
	Source string
	// Checkout is a folder with Kubernetes' own source to build from; "" for none.
	Checkout string
	Arch     string // as Go names it; "" for this machine's
	// Main is the source of kluster's own test program around Kubernetes' test
	// packages, by file name; nil leaves the program out.
	Main map[string][]byte
}

// Suite is what an e2e run needs on the host.
type Suite struct {
	// Dir is a folder of the cache that holds the parts by name. See UseCache.
	Dir        string `json:"-"`
	Kubernetes string // its version, "v1.36.3"
	Parts      []SuitePart
}

// SuitePart is a file of a Suite.
type SuitePart struct {
	Name    string // PartTests, "ginkgo" ...
	Version string
	Source  string // as ComponentRecord says it
	Digest  string // "sha256:..."
	// StandIn says how it differs from upstream's; "" if it does not.
	StandIn string
}

// The parts of a suite besides the catalog's programs.
const (
	// PartTests is upstream's own test program.
	PartTests = "e2e.test"
	// PartMain is made of SuiteSpec.Main.
	PartMain = "kluster-e2e.test"
	// PartSpecs lists the conformance specs.
	PartSpecs = "conformance.yaml"
)

const mainStandIn = "kluster's own main around the unmodified test packages of Kubernetes: it tells which spec runs, and orders specs by duration"

// BuildSuite makes the parts of an e2e suite, from the cache where it can. It
// returns the errors of Resolve and Build.
func BuildSuite(ctx context.Context, spec SuiteSpec, opts Options) (Suite, error) {
	c, err := LoadCatalog()
	if err != nil {
		return Suite{}, err
	}
	return buildSuite(ctx, c, spec, Env{}, opts)
}

func buildSuite(ctx context.Context, c *Catalog, spec SuiteSpec, env Env, opts Options) (Suite, error) {
	cache, err := openCache(opts.CacheDir)
	if err != nil {
		return Suite{}, err
	}
	dir, err := cache.find(env, func(env Env) (string, error) { return suiteStep(ctx, c, spec, env) })
	if err != nil {
		return Suite{}, err
	}
	if dir != "" {
		return openSuite(dir)
	}
	r, err := resolveSuite(ctx, c, spec, env)
	if err != nil {
		return Suite{}, err
	}
	b, err := newBuilder(r, opts)
	if err != nil {
		return Suite{}, err
	}
	step, err := suiteStep(ctx, c, spec, env)
	if err != nil {
		return Suite{}, err
	}
	s := suiteBuild{builder: b, table: c.Suite, graph: r.graph(c.Suite.Graph), main: spec.Main}
	if dir, err = cache.getNamed(ctx, step, func(dir string) error { return s.build(ctx, dir) }); err != nil {
		return Suite{}, err
	}
	return openSuite(dir)
}

// suiteStep names the output that a suite is, by all that it is made of.
func suiteStep(ctx context.Context, c *Catalog, spec SuiteSpec, env Env) (string, error) {
	r, err := resolveSuite(ctx, c, spec, env)
	if err != nil {
		return "", err
	}
	if err := r.seal(); err != nil {
		return "", err
	}
	return outputName("suite", struct {
		Recipe string
		Table  SuiteTable
		Main   map[string][]byte
	}{r.digest, c.Suite, spec.Main})
}

// suiteFileName lies beside the parts and says what they are.
const suiteFileName = ".suite.json"

// openSuite reads a suite of the cache.
func openSuite(dir string) (Suite, error) {
	data, err := os.ReadFile(filepath.Join(dir, suiteFileName))
	if err != nil {
		return Suite{}, fmt.Errorf("reading the e2e suite: %w", err)
	}
	s := Suite{Dir: dir}
	if err := json.Unmarshal(data, &s); err != nil {
		return Suite{}, fmt.Errorf("reading the e2e suite: %s: %w", dir, err)
	}
	return s, nil
}

// resolveSuite pins the programs of a suite.
func resolveSuite(ctx context.Context, c *Catalog, spec SuiteSpec, env Env) (*Recipe, error) {
	wish := Spec{Kubernetes: spec.Kubernetes, Source: spec.Source, Checkout: spec.Checkout, Arch: spec.Arch}
	if err := check(c, &wish); err != nil {
		return nil, err
	}
	for name := range spec.Main {
		if !filepath.IsLocal(name) {
			return nil, fmt.Errorf("source of %s: %q is no name of a file below a folder", PartMain, name)
		}
	}
	x := resolver{c: c, spec: wish, components: c.Suite.Programs, compiled: c.Suite.Programs}
	if err := x.begin(ctx, env); err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context) error{x.programs, x.graphs} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	x.r.steps = map[string]time.Duration{testStep(PartTests): c.Suite.Estimate}
	if len(spec.Main) > 0 {
		x.r.steps[testStep(PartMain)] = mainEstimate
	}
	return x.r, x.r.versionsOfRequired()
}

// versionsOfRequired corrects programs of modules that the suite's module only
// requires: they have versions of their own.
func (r *Recipe) versionsOfRequired() error {
	for i := range r.Programs {
		p := &r.Programs[i]
		if p.Kind != KindModule || strings.HasPrefix(p.pkg, r.graph(p.Graph).Modules[0]+"/") {
			continue
		}
		f, err := modfile.ParseLax(p.Graph, r.graph(p.Graph).mod, nil)
		if err != nil {
			return fmt.Errorf("module graph %s: %w", p.Graph, err)
		}
		at := slices.IndexFunc(f.Require, func(q *modfile.Require) bool { return strings.HasPrefix(p.pkg, q.Mod.Path+"/") })
		if at < 0 {
			return fmt.Errorf("module graph %s: no module has the package %s", p.Graph, p.pkg)
		}
		p.Version = f.Require[at].Mod.Version
		if r.graph(p.Graph).tree == nil {
			p.Source = "module " + f.Require[at].Mod.String()
		}
	}
	return nil
}

// suiteBuild is one run of BuildSuite.
type suiteBuild struct {
	*builder
	table SuiteTable
	graph *GraphInput
	main  map[string][]byte
}

// suiteFile is a part with the file it is a copy of.
type suiteFile struct {
	SuitePart
	from string
}

// build makes the parts in dir. Not at once: each but the first finds most of what
// it is compiled from in Go's own cache.
func (s *suiteBuild) build(ctx context.Context, dir string) error {
	files, err := s.programs(ctx)
	if err != nil {
		return err
	}
	for _, part := range []func(context.Context) (suiteFile, error){s.tests, s.ownMain, s.specs} {
		f, err := part(ctx)
		if err != nil {
			return err
		}
		if f.Name != "" {
			files = append(files, f)
		}
	}
	out := Suite{Kubernetes: s.r.Kubernetes}
	for _, f := range files {
		if s.graph.tree != nil && f.StandIn == "" {
			f.StandIn = "not a release of Kubernetes: " + s.graph.tree.source()
		}
		if err := os.Link(f.from, filepath.Join(dir, f.Name)); err != nil {
			return err
		}
		out.Parts = append(out.Parts, f.SuitePart)
	}
	data, err := json.Marshal(out)
	if err != nil {
		return fmt.Errorf("encoding the e2e suite: %w", err)
	}
	return os.WriteFile(filepath.Join(dir, suiteFileName), data, 0o644)
}

// programs are those that the catalog names.
func (s *suiteBuild) programs(ctx context.Context) ([]suiteFile, error) {
	p := &parts{outputs: map[string]string{}}
	if err := s.makeGraph(ctx, p, s.graph); err != nil {
		return nil, err
	}
	var out []suiteFile
	for i := range s.r.Programs {
		prog := &s.r.Programs[i]
		if prog.Kind == KindRelease {
			dir, err := s.published(ctx, prog)
			if err != nil {
				return nil, err
			}
			p.setOutput(prog.Name, dir)
		}
		from, digest, err := s.program(ctx, p, prog.Name)
		if err != nil {
			return nil, err
		}
		out = append(out, suiteFile{SuitePart{Name: prog.Name, Version: prog.Version, Source: prog.Source, Digest: digest}, from})
	}
	return out, nil
}

// tests is upstream's test program.
func (s *suiteBuild) tests(ctx context.Context) (suiteFile, error) {
	return s.testProgram(ctx, PartTests, s.table.Test, nil)
}

// ownMain is nothing where no source was given.
func (s *suiteBuild) ownMain(ctx context.Context) (suiteFile, error) {
	if len(s.main) == 0 {
		return suiteFile{}, nil
	}
	f, err := s.testProgram(ctx, PartMain, "./"+mainDir, s.main)
	f.StandIn = mainStandIn
	return f, err
}

func testStep(name string) string { return "test-" + name }

// testProgram compiles the tests of a package, whose files are source if it is not
// the graph's.
func (s *suiteBuild) testProgram(ctx context.Context, name, pkg string, source map[string][]byte) (suiteFile, error) {
	graph := *s.graph
	graph.Packages = []string{pkg}
	inputs := struct {
		goBuildInputs
		Source map[string][]byte `json:",omitempty"`
	}{goBuildInputs{graph, s.r.Go, s.r.Arch}, source}
	dir, err := s.step(ctx, testStep(name), inputs, func(dir string) error {
		return s.compileTests(ctx, &graph, filepath.Join(dir, name), source)
	})
	if err != nil {
		return suiteFile{}, err
	}
	part := SuitePart{Name: name, Version: s.graph.Version, Source: s.testSource()}
	part.Digest, err = keptDigest(filepath.Join(dir, name))
	return suiteFile{part, filepath.Join(dir, name)}, err
}

func (s *suiteBuild) testSource() string {
	if s.graph.tree != nil {
		return s.graph.tree.source()
	}
	return fmt.Sprintf("module %s@%s", s.graph.Modules[0], s.graph.Version)
}

// specs is the list of conformance specs.
func (s *suiteBuild) specs(ctx context.Context) (suiteFile, error) {
	f, err := s.imageFile(ctx, nil, ImageFile{Graph: s.graph.Name, File: s.table.Specs})
	if err != nil {
		return suiteFile{}, err
	}
	return suiteFile{SuitePart{Name: PartSpecs, Version: s.graph.Version, Source: s.testSource(), Digest: f.Digest}, f.from}, nil
}
