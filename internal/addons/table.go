// Package addons knows what kluster can put into a cluster beside what kubeadm does:
// the table of add-ons (configs/addons.yaml), and the objects of each for a
// server-side apply.
package addons

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"text/template"

	"go.yaml.in/yaml/v3"

	"github.com/kluster-project/kluster/configs"
	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/suggest"
)

// Part is when every cluster gets an add-on; "" if only those that ask for it do.
type Part string

// The parts.
const (
	Early Part = "early" // what nodes need to get ready
	Late  Part = "late"  // what can wait until pods of cluster DNS run
)

// Addon is one row of the table.
type Addon struct {
	Name        string `yaml:"name"`
	Description string `yaml:"description"`
	BuiltIn     Part   `yaml:"builtIn"`
	// Requires are add-ons that come with it, before it.
	Requires []string `yaml:"requires"`
	// Images are container images, by the last part of their repositories.
	Images []string `yaml:"images"`
	// Files are manifests of Go modules.
	Files   []File  `yaml:"files"`
	Patches []Patch `yaml:"patches"`

	own []manifest
}

// File is a file of a Go module, or several of one folder: nodeimage.ModuleFile says
// more.
type File struct {
	Graph  string `yaml:"graph" json:"graph"`
	Module string `yaml:"module" json:"module,omitempty"`
	Path   string `yaml:"path" json:"path"`
}

// Patch changes objects of an add-on.
type Patch struct {
	Kind string `yaml:"kind"`
	Name string `yaml:"name"` // "" for all of that kind
	// Patch is RFC 6902 operations, a template of YAML.
	Patch string `yaml:"patch"`
}

// manifest is a file of kluster's own, a template of YAML.
type manifest struct{ name, text string }

// Table is all add-ons.
type Table struct{ all []Addon }

// Load gives the embedded table.
var Load = sync.OnceValues(func() (*Table, error) { return parse(configs.Addons, configs.AddonManifests()) })

// parse decodes and checks a table; files holds the manifests of each, NAME/*.yaml.
func parse(data []byte, files fs.FS) (*Table, error) {
	var decoded struct {
		Addons []Addon `yaml:"addons"`
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&decoded); err != nil {
		return nil, fmt.Errorf("reading the table of add-ons: %w", err)
	}
	t := &Table{all: decoded.Addons}
	for i := range t.all {
		if err := t.all[i].read(files); err != nil {
			return nil, fmt.Errorf("add-on %s: %w", t.all[i].Name, err)
		}
	}
	if err := t.check(files); err != nil {
		return nil, fmt.Errorf("table of add-ons: %w", err)
	}
	return t, nil
}

func (a *Addon) read(files fs.FS) error {
	names, err := fs.Glob(files, a.Name+"/*.yaml")
	if err != nil {
		return err
	}
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		a.own = append(a.own, manifest{name, string(text)})
	}
	return nil
}

var nameForm = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)

// check finds every problem of a table.
func (t *Table) check(files fs.FS) error {
	var errs []error
	seen := map[string]bool{}
	for _, a := range t.all {
		if !nameForm.MatchString(a.Name) || seen[a.Name] {
			errs = append(errs, fmt.Errorf("%q: not a name, or twice", a.Name))
		}
		// What comes before is required alone, so that nothing goes in circles.
		for _, r := range a.Requires {
			if before := t.find(r); !seen[r] || before.BuiltIn != "" {
				errs = append(errs, fmt.Errorf("%s: requires %q, which is no add-on to ask for that stands before it", a.Name, r))
			}
		}
		seen[a.Name] = true
		errs = append(errs, a.check())
	}
	folders, err := fs.ReadDir(files, ".")
	for _, f := range folders {
		if !seen[f.Name()] {
			errs = append(errs, fmt.Errorf("folder %s is of no add-on", f.Name()))
		}
	}
	return errors.Join(append(errs, err)...)
}

func (a *Addon) check() error {
	var errs []error
	add := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf(a.Name+": "+format, args...))
	}
	if a.Description == "" || len(a.own)+len(a.Files) == 0 {
		add("needs a description, and files or a folder of manifests")
	}
	if !slices.Contains([]Part{"", Early, Late}, a.BuiltIn) {
		add("builtIn: must be %s or %s, not %q", Early, Late, a.BuiltIn)
	}
	if a.BuiltIn != "" && len(a.Files)+len(a.Requires) > 0 {
		add("builtIn excludes files and requires: a create does not wait for a download")
	}
	for _, f := range a.Files {
		if _, err := path.Match(f.Path, ""); err != nil || f.Graph == "" || !fs.ValidPath(f.Path) {
			add("file %q: needs a graph, and a path", f.Path)
		}
	}
	for _, p := range a.Patches {
		if p.Kind == "" || p.Patch == "" {
			add("a patch needs a kind, and operations")
		}
		a.checkTemplate(p.Kind+" "+p.Name, p.Patch, add)
	}
	for _, m := range a.own {
		a.checkTemplate(m.name, m.text, add)
	}
	return errors.Join(errs...)
}

func (a *Addon) checkTemplate(name, text string, add func(string, ...any)) {
	if _, err := template.New(name).Funcs(Values{}.functions()).Parse(text); err != nil {
		add("%w", err)
	}
}

func (t *Table) find(name string) *Addon {
	i := slices.IndexFunc(t.all, func(a Addon) bool { return a.Name == name })
	if i < 0 {
		return &Addon{}
	}
	return &t.all[i]
}

// All are the add-ons that users can ask for, in the table's order.
func (t *Table) All() []Addon {
	return slices.DeleteFunc(slices.Clone(t.all), func(a Addon) bool { return a.BuiltIn != "" })
}

// Names are those of All.
func (t *Table) Names() []string {
	var names []string
	for _, a := range t.All() {
		names = append(names, a.Name)
	}
	return names
}

// Pick gives the named add-ons, each once, with those that they require, in the order
// to install them in. The error says what is known, and is one of bad input.
func (t *Table) Pick(names ...string) ([]Addon, error) {
	wanted := map[string]bool{}
	for _, name := range names {
		if !slices.Contains(t.Names(), name) {
			return nil, t.unknown(name)
		}
		wanted[name] = true
	}
	for _, a := range slices.Backward(t.all) {
		for _, r := range a.Requires {
			wanted[r] = wanted[r] || wanted[a.Name]
		}
	}
	return slices.DeleteFunc(t.All(), func(a Addon) bool { return !wanted[a.Name] }), nil
}

func (t *Table) unknown(name string) error {
	text := fmt.Sprintf("there is no add-on %q", name)
	if near := suggest.Nearest(name, t.Names()); near != "" {
		text += fmt.Sprintf("; did you mean %q?", near)
	}
	return failure.New(text, failure.Hint("known add-ons: %s", strings.Join(t.Names(), ", ")), failure.Exit(failure.CodeUsage))
}

// Artifacts are what add-ons need that kluster's own program does not have in it.
type Artifacts struct {
	Images []string // by the last part of their repositories, each once
	Files  []File   // each once
}

// ArtifactsOf lists what add-ons need.
func ArtifactsOf(all []Addon) Artifacts {
	var out Artifacts
	for _, a := range all {
		for _, img := range a.Images {
			if !slices.Contains(out.Images, img) {
				out.Images = append(out.Images, img)
			}
		}
		for _, f := range a.Files {
			if !slices.Contains(out.Files, f) {
				out.Files = append(out.Files, f)
			}
		}
	}
	return out
}
