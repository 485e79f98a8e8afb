package nodeimage

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"runtime"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/kluster-project/kluster/configs"
	"github.com/kluster-project/kluster/internal/cri"
)

// SpecError is a wish that cannot be granted as it stands.
type SpecError struct{ Field, Reason string }

func (e *SpecError) Error() string { return e.Field + ": " + e.Reason }

// ExitCode is that of bad input.
func (e *SpecError) ExitCode() int { return exitBadInput }

func resolve(ctx context.Context, c *Catalog, spec Spec, env Env) (*Recipe, error) {
	if err := check(c, &spec); err != nil {
		return nil, err
	}
	x := resolver{c: c, spec: spec}
	if err := x.begin(ctx, env); err != nil {
		return nil, err
	}
	x.r.Runtimes, x.r.steps = spec.Runtimes, map[string]time.Duration{}
	for _, name := range spec.Runtimes {
		x.r.steps[storeStep(name)] = storeEstimate
	}
	for _, step := range []func(context.Context) error{x.wanted, x.programs, x.graphs, x.roots, x.images, x.files} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return x.r, x.r.seal()
}

func check(c *Catalog, spec *Spec) error {
	if spec.Arch == "" {
		spec.Arch = runtime.GOARCH
	}
	if spec.Source == "" {
		spec.Source = SourceModules
	}
	if spec.Source != SourceModules && spec.Source != SourceRelease {
		return &SpecError{"source", fmt.Sprintf("%q is neither %q, %q nor a folder", spec.Source, SourceModules, SourceRelease)}
	}
	if err := orderRuntimes(spec); err != nil {
		return err
	}
	for name := range spec.Overrides {
		if c.component(name) == nil {
			return &SpecError{"component", fmt.Sprintf("%q is not known; known are: %s", name, strings.Join(c.names(), ", "))}
		}
	}
	return nil
}

// orderRuntimes sees that the runtimes are known, and brings them into the order of
// their table: the same ones make the same image.
func orderRuntimes(spec *Spec) error {
	for _, name := range spec.Runtimes {
		if _, err := cri.Get(name); err != nil {
			return &SpecError{"runtime", err.Error()}
		}
	}
	if len(spec.Runtimes) == 0 {
		spec.Runtimes = []string{cri.Default}
	}
	spec.Runtimes = slices.DeleteFunc(cri.Names(), func(name string) bool { return !slices.Contains(spec.Runtimes, name) })
	return nil
}

func (c *Catalog) names() []string {
	var out []string
	for _, x := range c.Components {
		out = append(out, x.Name)
	}
	slices.Sort(out)
	return out
}

// resolver fills a recipe.
type resolver struct {
	c    *Catalog
	k    KubernetesVersion
	spec Spec
	r    *Recipe
	tree *checkout // nil without

	// components and containers are those of the catalog that are wanted, and
	// compiled those that are built with them when their graph is.
	components, compiled []Component
	containers           []ContainerImage
}

// begin finds the version, and makes a recipe with nothing in it.
func (x *resolver) begin(ctx context.Context, env Env) error {
	if err := x.version(ctx); err != nil {
		return err
	}
	x.r = &Recipe{Format: format, Kubernetes: x.k.Version, Arch: x.spec.Arch, env: env.withDefaults()}
	return nil
}

// wanted picks the container images, and the components that the node or one of
// these images has.
func (x *resolver) wanted(context.Context) error {
	for _, img := range x.c.Images {
		if img.OnDemand {
			continue
		}
		if img.Conformance != UsedOnly || (x.spec.Conformance && x.c.uses(x.k, img)) {
			x.containers = append(x.containers, img)
		}
	}
	x.use(x.onNode)
	if x.spec.Conformance {
		return x.c.hasConformance(x.k)
	}
	return nil
}

// onNode says whether a component lies in the node's own file system.
func (x *resolver) onNode(comp Component) bool {
	wanted := func(name string) bool { return slices.Contains(x.spec.Runtimes, name) }
	return comp.Target != "" && (len(comp.Runtimes) == 0 || slices.ContainsFunc(comp.Runtimes, wanted))
}

// use picks the components that a wanted container image has, and those that also
// says are wanted.
func (x *resolver) use(also func(Component) bool) {
	used := map[string]bool{}
	for _, img := range x.containers {
		for _, f := range img.Files {
			used[f.Component] = true
		}
	}
	for _, comp := range x.c.Components {
		if used[comp.Name] || also(comp) {
			x.components = append(x.components, comp)
		}
	}
	x.compiled = x.components
}

// version finds the entry of the table: the one asked for or, for a checkout,
// the one of its minor version.
func (x *resolver) version(ctx context.Context) (err error) {
	if x.spec.Checkout != "" {
		if x.tree, err = openCheckout(ctx, x.spec.Checkout); err != nil {
			return err
		}
	}
	if x.tree != nil && x.spec.Kubernetes == "" {
		x.k, err = x.c.entryFor(x.tree)
	} else {
		x.k, err = x.c.Find(x.spec.Kubernetes)
	}
	if err == nil && x.tree != nil && x.tree.version == "" {
		x.tree.version = x.k.Version + "+" + x.tree.commit[:14]
	}
	return err
}

// fromTree says whether a graph is built from the checkout.
func (x *resolver) fromTree(g *Graph) bool { return g != nil && g.Staging && x.tree != nil }

// expand fills in the placeholders of components.yaml.
func (x *resolver) expand(s, name, version string) string {
	number := strings.TrimPrefix(version, "v")
	parts := append(strings.SplitN(number, ".", 3), "", "")
	if strings.Contains(number, "-") {
		parts[1] += "+" // between two versions, in Kubernetes' own form
	}
	out := strings.NewReplacer("{version}", version, "{number}", number, "{major}", parts[0], "{minor}", parts[1],
		"{kubernetes}", x.k.Version, "{arch}", x.spec.Arch, "{name}", name, "{triplet}", triplets[x.spec.Arch],
		"{commit}", x.tree.commitID(), "{state}", x.tree.treeState()).Replace(s)
	return versionOf.ReplaceAllStringFunc(out, func(m string) string {
		return strings.TrimPrefix(x.c.VersionOf(m[1:len(m)-1], x.k), "v")
	})
}

// triplets are Debian's names of architectures in paths, by Go's.
var triplets = map[string]string{"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}

// versionOf is a placeholder that names a graph or an entry of the table; it
// stands for its version without the "v".
var versionOf = regexp.MustCompile(`\{[a-z-]+\}`)

func (x *resolver) programs(ctx context.Context) error {
	for _, comp := range x.components {
		p, err := x.program(comp)
		if err != nil {
			return err
		}
		x.r.Programs = append(x.r.Programs, p)
	}
	return nil
}

func (x *resolver) program(comp Component) (Program, error) {
	key := comp.Graph
	if comp.Version != "" {
		key = comp.Version
	}
	p := Program{Name: comp.Name, Version: x.c.VersionOf(key, x.k), Target: comp.Target, Layer: comp.Layer, Shared: comp.Shared, runtimes: comp.Runtimes}
	graph := x.c.graph(comp.Graph)
	if x.fromTree(graph) && comp.Version == "" {
		p.Version = x.tree.version
	}
	switch file, local := x.spec.Overrides[comp.Name]; {
	case local:
		digest, err := digestFile(file)
		if err != nil {
			return p, fmt.Errorf("reading component %s: %w", comp.Name, err)
		}
		p.Kind, p.Source, p.Digest, p.path = KindFile, "file", digest, file
	case x.spec.Source == SourceRelease && comp.Release != "" && !x.fromTree(graph):
		return p, x.release(&p, comp)
	case comp.Extract != "":
		p.Kind, p.Source, p.Version, p.Root, p.File = KindDebian, "debian", "", comp.Root, x.expand(comp.Extract, comp.Name, "")
		p.Target = x.expand(comp.Target, comp.Name, "")
	case comp.Own != "":
		p.Kind, p.Graph, p.Output, p.Source = KindModule, comp.Graph, comp.Own, "kluster's own"
	case comp.C != "":
		p.Kind, p.Graph, p.File = KindC, comp.Graph, comp.C
		p.Source = x.sourceOf(graph, graph.Modules[0])
	case comp.File != "":
		p.Kind, p.Graph, p.File = KindText, comp.Graph, comp.File
		p.Source = x.sourceOf(graph, graph.Modules[0])
	default:
		p.Kind, p.Graph, p.Output, p.pkg = KindModule, comp.Graph, execName(comp.Package), comp.Package
		p.Source = x.sourceOf(graph, moduleOf(graph, comp.Package))
	}
	return p, nil
}

// sourceOf is what the manifest says of a program of a module.
func (x *resolver) sourceOf(g *Graph, module string) string {
	if x.fromTree(g) {
		return x.tree.source()
	}
	return fmt.Sprintf("module %s@%s", module, g.ModuleVersion(x.c.VersionOf(g.Name, x.k)))
}

// release makes p a published program. One that nothing vouches for is refused.
func (x *resolver) release(p *Program, comp Component) error {
	rel := x.c.release(comp.Release)
	expand := func(s string) string { return x.expand(s, comp.Name, p.Version) }
	p.Kind, p.URL, p.Member = KindRelease, expand(rel.URL), expand(rel.Member)
	for _, key := range []string{p.Version + "/" + x.spec.Arch + "/" + p.Name, p.Version + "/" + x.spec.Arch} {
		if sum := rel.SHA256[key]; sum != "" {
			p.Digest, p.Source = "sha256:"+sum, "release "+p.URL+" (sha256 pinned)"
			return nil
		}
	}
	if rel.Checksums == "" || rel.Signature == "" {
		return unpinned(p)
	}
	p.Sums = &SumFile{URL: expand(rel.Checksums), Signature: expand(rel.Signature), Fingerprints: rel.Fingerprints}
	p.Source = "release " + p.URL + " (" + p.Sums.trust() + ")"
	var err error
	if p.Sums.armored, err = fs.ReadFile(x.r.env.Keys, rel.Keys); err != nil {
		return fmt.Errorf("reading the keys of %s: %w", comp.Release, err)
	}
	p.Sums.Keys = digestOf(p.Sums.armored)
	return nil
}

// execName is the name that "go build" gives a package's program.
func execName(pkg string) string {
	name := path.Base(pkg)
	if len(name) > 1 && name[0] == 'v' && strings.Trim(name[1:], "0123456789") == "" {
		name = path.Base(path.Dir(pkg))
	}
	return name
}

func moduleOf(g *Graph, pkg string) string {
	best := g.Modules[0]
	for _, m := range g.Modules {
		if pkg == m || strings.HasPrefix(pkg, m+"/") {
			best = m
		}
	}
	return best
}

// graphs pins the module graphs that some program needs. A graph is built as a
// whole even when one of its programs is replaced, so that its cached output
// stays good.
func (x *resolver) graphs(ctx context.Context) error {
	needed := map[string]bool{}
	for _, p := range x.r.Programs {
		needed[p.Graph] = true
	}
	for _, img := range x.containers {
		for _, file := range img.Files {
			needed[file.Graph] = true
		}
	}
	for _, g := range x.c.Graphs {
		if !needed[g.Name] {
			continue
		}
		in, err := x.graph(g)
		if err != nil {
			return err
		}
		x.r.Graphs = append(x.r.Graphs, in)
	}
	if len(x.r.Graphs) == 0 {
		return nil
	}
	return x.toolchain(ctx)
}

// toolchain pins the version of Go, and sees that it is new enough for the graphs.
func (x *resolver) toolchain(ctx context.Context) (err error) {
	if x.r.Go = x.r.env.Toolchain; x.r.Go == "" {
		if x.r.Go, err = goVersion(ctx, x.r.env.Go); err != nil {
			return err
		}
	}
	return checkToolchain(x.r.Go, x.r.Graphs)
}

func (x *resolver) graph(g Graph) (GraphInput, error) {
	if slices.Contains(x.k.Without, g.Name) && !x.fromTree(&g) {
		return GraphInput{}, &SpecError{"kubernetes version", fmt.Sprintf("the modules of %s cannot be had for %s", g.Name, x.k.Version)}
	}
	version := x.c.VersionOf(g.Name, x.k)
	in := GraphInput{Name: g.Name, Version: version, Modules: g.Modules, CGO: g.CGO, Tags: g.Tags}
	if x.fromTree(&g) {
		in.tree, in.mod, in.Checkout, in.Version = x.tree, x.tree.mod, x.tree.digest, x.tree.version
	}
	in.LDFlags = x.ldflags(g, in.Version)
	for _, comp := range x.compiled {
		if comp.Graph == g.Name && comp.Package != "" && (x.spec.Source != SourceRelease || comp.Release == "") {
			in.Packages = append(in.Packages, comp.Package)
		}
	}
	if err := in.addOwn(g.Own); err != nil {
		return in, err
	}
	if in.tree != nil {
		return in, nil
	}
	dir := modulesDir(g.Name, version) + "/"
	var err error
	if in.mod, err = fs.ReadFile(configs.Modules, dir+"mod"); err == nil {
		in.sum, err = fs.ReadFile(configs.Modules, dir+"sum")
	}
	if err != nil {
		return in, fmt.Errorf("module graph %s %s: %w; make it with: go run ./node-image/modgen", g.Name, version, err)
	}
	in.Mod, in.Sum = digestOf(in.mod), digestOf(in.sum)
	return in, nil
}

func (x *resolver) ldflags(g Graph, version string) string {
	flags := []string{"-s", "-w"}
	if g.Static {
		flags = append(flags, "-extldflags=-static")
	}
	fixed := len(flags)
	stamp := maps.Clone(g.Stamp)
	if x.fromTree(&g) {
		maps.Copy(stamp, g.StampCheckout)
	}
	for name, value := range stamp {
		flags = append(flags, "-X="+name+"="+x.expand(value, "", version))
	}
	sort.Strings(flags[fixed:])
	return strings.Join(flags, " ")
}

// roots are those of the node, the builder, the programs that are Debian's, and the
// wanted container images.
func (x *resolver) roots(context.Context) error {
	names := []string{"node", builderRoot}
	for _, p := range x.r.Programs {
		names = append(names, p.Root)
	}
	x.pickRoots(names...)
	return nil
}

// pickRoots picks the named ones and those of the wanted container images.
func (x *resolver) pickRoots(names ...string) {
	used := map[string]bool{}
	for _, name := range names {
		used[name] = true
	}
	for _, img := range x.containers {
		used[img.Root] = true
		for _, e := range img.Extract {
			used[e.Root] = true
		}
	}
	for _, r := range x.c.Roots {
		if used[r.Name] {
			x.r.Roots = append(x.r.Roots, r)
		}
	}
}

func (x *resolver) images(context.Context) error {
	for _, img := range x.containers {
		img.Ref = x.expand(img.Ref, "", x.k.Version)
		img.From = x.expand(img.From, "", x.k.Version)
		img.Extract = slices.Clone(img.Extract)
		for i, e := range img.Extract {
			img.Extract[i].From, img.Extract[i].Path = x.expand(e.From, "", ""), x.expand(e.Path, "", "")
		}
		x.r.Images = append(x.r.Images, img)
	}
	return nil
}

func (x *resolver) files(context.Context) error {
	var err error
	if x.r.RootFS, err = rootfsDigest(); err != nil || x.spec.NodeBinary == "" {
		return err
	}
	x.r.nodeBinary = x.spec.NodeBinary
	if x.r.Node, err = digestFile(x.spec.NodeBinary); err != nil {
		return fmt.Errorf("reading the node program: %w", err)
	}
	return nil
}
