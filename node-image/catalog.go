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
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/kluster-project/kluster/configs"
)

// Catalog is configs/components.yaml: all that can be put into a node image.
type Catalog struct {
	Kubernetes []KubernetesVersion `yaml:"kubernetes"`
	Graphs     []Graph             `yaml:"graphs"`
	Components []Component         `yaml:"components"`
	Releases   []Release           `yaml:"releases"`
	Roots      []Root              `yaml:"roots"`
	Images     []ContainerImage    `yaml:"images"`
}

// KubernetesVersion is a version an image can be built for, with the versions
// of what belongs to it (etcd, CoreDNS, pause ...) by name.
type KubernetesVersion struct {
	Version  string            `yaml:"version"`
	Versions map[string]string `yaml:"versions"`
}

// Graph is a module graph: what one run of "go build" builds.
type Graph struct {
	Name    string   `yaml:"name"`
	Version string   `yaml:"version"` // "" when Kubernetes' table gives it
	Modules []string `yaml:"modules"` // all of one version
	// Staging: the k8s.io modules at v0.0.0 are replaced by v0.MINOR.PATCH.
	Staging bool `yaml:"staging"`
	// CGO: built in a container made from the node's own base.
	CGO      bool              `yaml:"cgo"`
	Static   bool              `yaml:"static"` // cgo, but without shared libraries
	Tags     []string          `yaml:"tags"`
	Stamp    map[string]string `yaml:"stamp"` // variable -> value, for the linker
	Estimate time.Duration     `yaml:"estimate"`
}

// Component is a program.
type Component struct {
	Name    string `yaml:"name"`
	Graph   string `yaml:"graph"`
	Package string `yaml:"package"` // of a Go program
	C       string `yaml:"c"`       // of a C program: its file in the graph's first module
	Release string `yaml:"release"` // where upstream publishes it, by Release.Name
	// Version names an entry of Kubernetes' table, where it is not the graph's.
	Version string `yaml:"version"`
	Target  string `yaml:"target"` // path in the node, "" if only in container images
	Layer   string `yaml:"layer"`  // of the node image that holds Target
}

// Release is where upstream publishes programs.
type Release struct {
	Name string `yaml:"name"`
	// URL of the file; {name} is the component's name.
	URL string `yaml:"url"`
	// SHA256 pins the file per "VERSION/ARCH" or "VERSION/ARCH/NAME".
	SHA256 map[string]string `yaml:"sha256"`
	// Checksum is the URL of a file of upstream's that holds the sha256, alone
	// or in a line with the file's name; used where SHA256 has no entry.
	Checksum string `yaml:"checksum"`
	// Member is the program's path in the archive that URL names (.tar.gz).
	Member string `yaml:"member"`
}

// Root is a root file system made of Debian packages.
type Root struct {
	Name     string        `yaml:"name"`
	Suite    string        `yaml:"suite"`
	Variant  string        `yaml:"variant"` // of mmdebstrap
	From     string        `yaml:"from"`    // another root whose packages it has too
	Packages []string      `yaml:"packages"`
	Estimate time.Duration `yaml:"estimate"`
}

// ContainerImage is a container image preloaded into the node image.
type ContainerImage struct {
	Ref string `yaml:"ref"`
	// Root is the Root it lies on or, with Extract, takes files from; "" for
	// an almost empty one.
	Root       string        `yaml:"root"`
	Extract    []ImageCopy   `yaml:"extract"`
	Dirs       []string      `yaml:"dirs"`
	Files      []ImageFile   `yaml:"files"`
	Append     []ImageAppend `yaml:"append"`
	Links      []ImageLinks  `yaml:"links"`
	User       string        `yaml:"user"`
	Entrypoint []string      `yaml:"entrypoint"`
	Cmd        []string      `yaml:"cmd"`
	Pinned     bool          `yaml:"pinned"` // never collected as garbage
}

// ImageFile is a file of a container image: a component, or a file of the
// first module of a graph.
type ImageFile struct {
	Component string `yaml:"component"`
	Graph     string `yaml:"graph"`
	File      string `yaml:"file"`
	Path      string `yaml:"path"`
}

// ImageCopy takes a file of a root.
type ImageCopy struct {
	From string `yaml:"from"` // without a leading slash
	Path string `yaml:"path"`
}

// ImageAppend adds lines to a file of the root.
type ImageAppend struct {
	Path string `yaml:"path"` // without a leading slash
	Text string `yaml:"text"`
}

// ImageLinks are symbolic links to one target.
type ImageLinks struct {
	Target string   `yaml:"target"`
	Paths  []string `yaml:"paths"`
}

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
	if name == "kubernetes" {
		return k.Version
	}
	if g := c.graph(name); g != nil && g.Version != "" {
		return g.Version
	}
	return k.Versions[name]
}

func (c *Catalog) graph(name string) *Graph {
	if i := slices.IndexFunc(c.Graphs, func(g Graph) bool { return g.Name == name }); i >= 0 {
		return &c.Graphs[i]
	}
	return nil
}

func (c *Catalog) component(name string) *Component {
	if i := slices.IndexFunc(c.Components, func(x Component) bool { return x.Name == name }); i >= 0 {
		return &c.Components[i]
	}
	return nil
}

func (c *Catalog) root(name string) *Root {
	if i := slices.IndexFunc(c.Roots, func(r Root) bool { return r.Name == name }); i >= 0 {
		return &c.Roots[i]
	}
	return nil
}

func (c *Catalog) release(name string) *Release {
	if i := slices.IndexFunc(c.Releases, func(r Release) bool { return r.Name == name }); i >= 0 {
		return &c.Releases[i]
	}
	return nil
}

var semver = regexp.MustCompile(`^v\d+\.\d+\.\d+$`)

func (c *Catalog) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(c.Kubernetes) == 0 {
		bad("no Kubernetes version")
	}
	for _, k := range c.Kubernetes {
		if !semver.MatchString(k.Version) {
			bad("kubernetes %q: not a version of the form v1.2.3", k.Version)
		}
	}
	return errors.Join(errs...)
}
