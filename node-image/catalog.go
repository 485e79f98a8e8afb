// Package nodeimage makes node images: what a wish (Spec) needs is resolved
// into a recipe with every input pinned, the recipe is built into an image
// layer by layer, each cached by the content of its inputs, and a manifest in
// the image's labels says what is inside.
//
// It never talks to a container engine: what must run in a container runs in a
// Sandbox that the caller gives.
package nodeimage

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/kluster-project/kluster/configs"
)

// LoadCatalog decodes and checks the embedded components.yaml.
func LoadCatalog() (*Catalog, error) { return ParseCatalog(configs.Components) }

// ParseCatalog decodes and checks a catalog. All problems come at once.
func ParseCatalog(data []byte) (*Catalog, error) {
	c := &Catalog{}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(c); err != nil {
		return nil, fmt.Errorf("reading the table of components: %w", err)
	}
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("table of components: %w", err)
	}
	return c, nil
}

// UnknownVersionError is a Kubernetes version without an entry.
type UnknownVersionError struct {
	Version string
	Known   []string
}

func (e *UnknownVersionError) Error() string {
	return fmt.Sprintf("Kubernetes version %q is not known; known are: %s", e.Version, strings.Join(e.Known, ", "))
}

// ExitCode is that of bad input.
func (e *UnknownVersionError) ExitCode() int { return exitBadInput }

// Versions lists the Kubernetes versions with an entry, the default first.
func (c *Catalog) Versions() []string {
	var out []string
	for _, k := range c.Kubernetes {
		out = append(out, k.Version)
	}
	return out
}

// Find gives a version's entry; "" is the default, the leading v may be left
// out. It returns *UnknownVersionError.
func (c *Catalog) Find(version string) (KubernetesVersion, error) {
	if version == "" {
		return c.Kubernetes[0], nil
	}
	want := "v" + strings.TrimPrefix(version, "v")
	for _, k := range c.Kubernetes {
		if k.Version == want {
			return k, nil
		}
	}
	return KubernetesVersion{}, &UnknownVersionError{Version: version, Known: c.Versions()}
}

// VersionOf is the version of a graph, or of a name in the table, for k.
func (c *Catalog) VersionOf(name string, k KubernetesVersion) string {
	switch g := c.graph(name); {
	case g == nil:
		return k.Versions[name]
	case g.Staging:
		return k.Version
	case g.Version != "":
		return g.Version
	}
	return k.Versions[name]
}

// ModuleVersion is a version of the graph as the go command names it.
func (g *Graph) ModuleVersion(version string) string {
	if g.Incompatible {
		return version + "+incompatible"
	}
	return version
}

func (c *Catalog) graph(name string) *Graph {
	return named(c.Graphs, name, func(g Graph) string { return g.Name })
}

func (c *Catalog) component(name string) *Component {
	return named(c.Components, name, func(x Component) string { return x.Name })
}

func (c *Catalog) root(name string) *Root {
	return named(c.Roots, name, func(r Root) string { return r.Name })
}

func (c *Catalog) release(name string) *Release {
	return named(c.Releases, name, func(r Release) string { return r.Name })
}

// named finds the element of that name; nil if there is none.
func named[T any](list []T, name string, of func(T) string) *T {
	if i := slices.IndexFunc(list, func(x T) bool { return of(x) == name }); i >= 0 {
		return &list[i]
	}
	return nil
}
