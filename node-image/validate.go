package nodeimage

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/kluster-project/kluster/internal/cri"
)

var versionForm = regexp.MustCompile(`^v\d+\.\d+\.\d+$`)

// problems collects what is wrong with a catalog.
type problems struct{ errs []error }

func (p *problems) add(format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf(format, args...))
}

// validate finds every problem of a catalog: names twice, names of nothing,
// versions without a module graph.
func (c *Catalog) validate() error {
	p := &problems{}
	if len(c.Kubernetes) == 0 {
		p.add("no Kubernetes version")
	}
	c.unique(p)
	for _, k := range c.Kubernetes {
		for _, name := range k.Without {
			if c.graph(name) == nil {
				p.add("kubernetes %s: without: no graph %q", k.Version, name)
			}
		}
	}
	for _, g := range c.Graphs {
		c.checkGraph(p, g)
	}
	c.checkSuite(p)
	c.checkCRI(p)
	for _, x := range c.Components {
		c.checkComponent(p, x)
	}
	for _, r := range c.Releases {
		r.check(p)
	}
	for _, r := range c.Roots {
		if r.Suite == "" || len(r.Packages) == 0 || !slices.Contains([]string{"minbase", "extract"}, r.Variant) {
			p.add("root %s: needs a suite, packages, and minbase or extract as its variant", r.Name)
		}
	}
	for _, name := range []string{"node", builderRoot} {
		if c.root(name) == nil {
			p.add("no root %q", name)
		}
	}
	for _, img := range c.Images {
		c.checkImage(p, img, c.Images)
		c.checkConformance(p, img)
		c.checkOnDemand(p, img)
	}
	return errors.Join(p.errs...)
}

func (c *Catalog) unique(p *problems) {
	seen := map[string]bool{}
	once := func(kind, name string) {
		if name == "" {
			p.add("%s without a name", kind)
		} else if seen[kind+" "+name] {
			p.add("%s %s: twice", kind, name)
		}
		seen[kind+" "+name] = true
	}
	for _, k := range c.Kubernetes {
		once("kubernetes", k.Version)
		if !versionForm.MatchString(k.Version) {
			p.add("kubernetes %q: not a version like v1.2.3", k.Version)
		}
	}
	for _, g := range c.Graphs {
		once("graph", g.Name)
	}
	for _, x := range c.Components {
		once("component", x.Name)
	}
	for _, r := range c.Releases {
		once("release", r.Name)
	}
	for _, r := range c.Roots {
		once("root", r.Name)
	}
	for _, img := range slices.Concat(c.Images, c.CRI.Images) {
		once("image", img.Ref)
	}
}

func (c *Catalog) checkGraph(p *problems, g Graph) {
	if len(g.Modules) == 0 {
		p.add("graph %s: no module", g.Name)
	}
	for _, name := range g.Own {
		if _, err := OwnSource(name); err != nil {
			p.add("graph %s: %w", g.Name, err)
		}
	}
	for _, k := range c.Kubernetes {
		if !versionForm.MatchString(c.VersionOf(g.Name, k)) {
			p.add("graph %s: no version for Kubernetes %s", g.Name, k.Version)
		}
	}
}

// checkSuite sees that what an e2e run needs is of one graph. A table without a
// suite is fine.
func (c *Catalog) checkSuite(p *problems) {
	if c.Suite.Graph == "" {
		return
	}
	if c.graph(c.Suite.Graph) == nil {
		p.add("suite: no graph %q", c.Suite.Graph)
	}
	if c.Suite.Test == "" || c.Suite.Specs == "" {
		p.add("suite: needs test and specs")
	}
	for _, x := range c.Suite.Programs {
		if x.Graph != c.Suite.Graph || x.Package == "" || x.Target != "" {
			p.add("suite: program %s: needs a package of the graph %q, and no target", x.Name, c.Suite.Graph)
		}
		if x.Release != "" && c.release(x.Release) == nil {
			p.add("suite: program %s: no release %q", x.Name, x.Release)
		}
	}
}

func modulesDir(graph, version string) string { return path.Join("modules", graph+"-"+version) }

func (c *Catalog) checkComponent(p *problems, x Component) {
	if count(x.Package, x.Own, x.C, x.File, x.Extract) != 1 {
		p.add("component %s: needs one of package, own, c, file and extract", x.Name)
	}
	switch g := c.graph(x.Graph); {
	case x.Extract != "":
		if c.root(x.Root) == nil || x.Graph != "" {
			p.add("component %s: no root %q, or a graph too", x.Name, x.Root)
		}
	case g == nil:
		p.add("component %s: no graph %q", x.Name, x.Graph)
	case x.Own != "" && !slices.Contains(g.Own, x.Own):
		p.add("component %s: graph %s has no program %q of our own", x.Name, g.Name, x.Own)
	}
	for _, name := range x.Runtimes {
		if _, err := cri.Get(name); err != nil || name == "" {
			p.add("component %s: no runtime %q", x.Name, name)
		}
	}
	if x.Release != "" && c.release(x.Release) == nil {
		p.add("component %s: no release %q", x.Name, x.Release)
	}
	if (x.Target == "") != (x.Layer == "") || (x.Target != "" && !path.IsAbs(x.Target)) {
		p.add("component %s: needs target, an absolute path, and layer, or neither", x.Name)
	}
	if x.Shared && x.Layer == "" {
		p.add("component %s: shared, but in no layer of the node", x.Name)
	}
	if x.Layer != "" && !slices.Contains(slices.Concat(runtimeLayers, helperLayers, programLayers), x.Layer) {
		p.add("component %s: no layer %q", x.Name, x.Layer)
	}
	if x.Version != "" {
		for _, k := range c.Kubernetes {
			if k.Versions[x.Version] == "" {
				p.add("component %s: Kubernetes %s has no version of %q", x.Name, k.Version, x.Version)
			}
		}
	}
}

// checkCRI sees that the validation of container runtimes can be made, and its
// images be had of its registries. A table without it is fine.
func (c *Catalog) checkCRI(p *problems) {
	if c.CRI.Graph == "" {
		return
	}
	if c.graph(c.CRI.Graph) == nil || c.CRI.Test == "" {
		p.add("cri: needs a graph that there is, and test")
	}
	for _, img := range c.CRI.Images {
		c.checkImage(p, img, c.CRI.Images)
		host, _, _ := strings.Cut(img.Ref, "/")
		if !slices.Contains(c.CRI.Registries, host) {
			p.add("cri: image %s: its host is none of the registries", img.Ref)
		}
		if img.StandIn == "" || img.Conformance != "" || img.Pulled {
			p.add("cri: image %s: needs standIn, and neither conformance nor pulled", img.Ref)
		}
	}
}

// checkImage sees that what an image is made of is there; all are those that it may
// be made from.
func (c *Catalog) checkImage(p *problems, img ContainerImage, all []ContainerImage) {
	if img.Root != "" && c.root(img.Root) == nil {
		p.add("image %s: no root %q", img.Ref, img.Root)
	}
	if img.Root == "" && len(img.Extract)+len(img.Append) > 0 {
		p.add("image %s: extract and append need a root", img.Ref)
	}
	if img.From != "" && !slices.ContainsFunc(all, func(o ContainerImage) bool { return o.Ref == img.From && o.From == "" }) {
		p.add("image %s: no image %q that is from no other", img.Ref, img.From)
	}
	if img.From != "" && img.Root != "" {
		p.add("image %s: from and root exclude each other", img.Ref)
	}
	for _, e := range img.Extract {
		if e.Root != "" && c.root(e.Root) == nil {
			p.add("image %s: no root %q", img.Ref, e.Root)
		}
	}
	for _, f := range img.Files {
		if kinds := count(f.Component, f.Graph, f.Text); kinds != 1 || !path.IsAbs(f.Path) {
			p.add("image %s: a file needs one of component, graph and text, and an absolute path", img.Ref)
		}
		if f.Component != "" && c.component(f.Component) == nil {
			p.add("image %s: no component %q", img.Ref, f.Component)
		}
		if f.Graph != "" && c.graph(f.Graph) == nil {
			p.add("image %s: no graph %q", img.Ref, f.Graph)
		}
	}
}

// checkConformance sees that it is clear which versions have the image.
func (c *Catalog) checkConformance(p *problems, img ContainerImage) {
	if !slices.Contains([]string{"", UsedAlso, UsedOnly}, img.Conformance) || (img.Conformance == "") != (img.StandIn == "") {
		p.add("image %s: conformance must be %s or %s, with standIn", img.Ref, UsedAlso, UsedOnly)
	}
	missing := slices.DeleteFunc(slices.Clone(c.Kubernetes), func(k KubernetesVersion) bool { return c.uses(k, img) })
	if img.Conformance == UsedOnly && len(missing) < len(c.Kubernetes) {
		return
	}
	for _, k := range missing {
		p.add("image %s: Kubernetes %s has no version of what its name asks for", img.Ref, k.Version)
	}
}

// checkOnDemand sees that an image which add-ons bring is one for all versions of
// Kubernetes, and that no image of nodes is made from it.
func (c *Catalog) checkOnDemand(p *problems, img ContainerImage) {
	from := named(c.Images, img.From, func(o ContainerImage) string { return o.Ref })
	if from != nil && from.OnDemand && !img.OnDemand {
		p.add("image %s: it is in node images, but %s, which it is from, is not", img.Ref, img.From)
	}
	if !img.OnDemand {
		return
	}
	if img.Conformance != "" || img.Pinned || img.Pulled {
		p.add("image %s: onDemand excludes conformance, pinned and pulled", img.Ref)
	}
	for _, m := range versionOf.FindAllString(img.Ref, -1) {
		if g := c.graph(m[1 : len(m)-1]); g == nil || g.Version == "" {
			p.add("image %s: onDemand, but %s depends on the version of Kubernetes", img.Ref, m)
		}
	}
}

// count says how many texts are not empty.
func count(texts ...string) int {
	n := 0
	for _, t := range texts {
		if t != "" {
			n++
		}
	}
	return n
}
