// Package plan says what a run is to run: the table of suites, the filter that a
// suite and a user's flags make together, and whether the specs that a program
// would run by it are those that the suite promises.
package plan

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/onsi/ginkgo/v2/types"
	"go.yaml.in/yaml/v3"

	"github.com/kluster-project/kluster/configs"
	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/suggest"
)

// Program is what holds a suite's specs.
type Program string

// The programs.
const (
	// Own is kluster's main around Kubernetes' unmodified e2e packages.
	Own Program = "own"
	// Stock is upstream's e2e.test.
	Stock Program = "stock"
	// CRI is cri-tools' critest, which runs in a node and speaks with its container
	// runtime alone.
	CRI Program = "cri"
	// Package is Go packages with ginkgo specs, compiled for the run.
	Package Program = "package"
)

// Suite is one row of the table.
type Suite struct {
	Name        string  `yaml:"name"`
	Description string  `yaml:"description"`
	Program     Program `yaml:"program"`
	// Labels is ginkgo's label filter.
	Labels string `yaml:"labels"`
	// Specs are the exact names of its specs; none for all that Labels allows.
	Specs []string `yaml:"specs"`
	// Packages are folders: from the module's root for kluster's own, as the user
	// wrote it for another's.
	Packages []string `yaml:"packages"`
	// Environment is set for the program.
	Environment map[string]string `yaml:"environment"`
	// MakesClusters says that the specs need no cluster.
	MakesClusters bool `yaml:"makesClusters"`
	// OneNode says that the specs have a node for themselves alone: a cluster of one
	// node is made for the run.
	OneNode bool `yaml:"oneNode"`
	// LeftOut are specs that are not run, each with the reason.
	LeftOut []LeftOut `yaml:"leftOut"`
	// Images are the names, without registry and tag, of the images that the specs
	// start, beside pause; none for all of the conformance set.
	Images []string `yaml:"images"`
	// Nodes is how many nodes must be free for a pod without tolerations.
	Nodes int `yaml:"nodes"`
	// Complete says that a run has every spec of Kubernetes' conformance list.
	Complete bool `yaml:"complete"`
	// Estimate is how long a run takes; 0 where nobody has measured it.
	Estimate time.Duration `yaml:"estimate"`
}

// LeftOut are specs that cannot run where kluster runs a suite.
type LeftOut struct {
	Match  string `yaml:"match"` // a regular expression of their names
	Reason string `yaml:"reason"`
}

// Table is all suites.
type Table struct {
	Suites []Suite `yaml:"suites"`
	// SIG is the suite of a special interest group; "{sig}" stands for its label.
	SIG Suite `yaml:"sig"`
	// SIGs are the groups' names without "sig-".
	SIGs []string `yaml:"sigs"`
}

// Load decodes and checks the embedded suites.yaml.
func Load() (*Table, error) { return Parse(configs.Suites) }

// Parse decodes and checks a table. All problems come at once.
func Parse(data []byte) (*Table, error) {
	t := &Table{}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(t); err != nil {
		return nil, fmt.Errorf("reading the table of suites: %w", err)
	}
	if err := t.validate(); err != nil {
		return nil, fmt.Errorf("table of suites: %w", err)
	}
	return t, nil
}

func (t *Table) validate() error {
	var errs []error
	seen := map[string]bool{}
	for _, name := range t.Names() {
		if seen[name] {
			errs = append(errs, fmt.Errorf("%q is there twice", name))
		}
		seen[name] = true
	}
	for _, s := range append(slices.Clone(t.Suites), t.SIG) {
		errs = append(errs, s.validate())
	}
	return errors.Join(errs...)
}

func (s Suite) validate() error {
	var errs []error
	wrong := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%q: "+format, append([]any{s.Name}, args...)...))
	}
	if s.Name == "" || s.Description == "" {
		wrong("it lacks a name or description")
	}
	switch s.Program {
	case Own, Stock, CRI:
		if len(s.Packages) > 0 {
			wrong("packages are for program %q", Package)
		}
	case Package:
		if len(s.Packages) == 0 {
			wrong("program %q without packages", Package)
		}
	default:
		wrong("unknown program %q", s.Program)
	}
	if _, err := types.ParseLabelFilter(s.ofSIG("sig-x").Labels); err != nil {
		wrong("label filter %q: %s", s.Labels, firstLine(err))
	}
	for _, l := range s.LeftOut {
		if _, err := regexp.Compile(l.Match); err != nil || l.Match == "" || l.Reason == "" {
			wrong("leftOut: needs a regular expression and a reason: %q, %q", l.Match, l.Reason)
		}
	}
	if s.Nodes < 0 || s.Estimate < 0 {
		wrong("nodes and estimate cannot be negative")
	}
	return errors.Join(errs...)
}

// ofSIG puts a group's label in place.
func (s Suite) ofSIG(label string) Suite {
	for _, text := range []*string{&s.Name, &s.Description, &s.Labels} {
		*text = strings.ReplaceAll(*text, "{sig}", label)
	}
	return s
}

// Names are those of all suites, the groups' last.
func (t *Table) Names() []string {
	var names []string
	for _, s := range t.Suites {
		names = append(names, s.Name)
	}
	for _, sig := range t.SIGs {
		names = append(names, "sig-"+sig)
	}
	return names
}

// Find gives a suite by its name, or that of the package in a folder: any word
// with a slash, and ".".
func (t *Table) Find(name string) (Suite, error) {
	if name == "." || strings.Contains(name, "/") {
		return packageSuite(name)
	}
	if i := slices.IndexFunc(t.Suites, func(s Suite) bool { return s.Name == name }); i >= 0 {
		return t.Suites[i], nil
	}
	if sig, ok := strings.CutPrefix(name, "sig-"); ok && slices.Contains(t.SIGs, sig) {
		return t.SIG.ofSIG(name), nil
	}
	return Suite{}, t.unknown(name)
}

func (t *Table) unknown(name string) error {
	what := fmt.Sprintf("there is no suite %q", name)
	if near := suggest.Nearest(name, t.Names()); near != "" {
		what += fmt.Sprintf(" (did you mean %q?)", near)
	}
	return failure.New(what, failure.Exit(failure.CodeUsage),
		failure.Hint("suites are %s; a folder of your own ginkgo specs is written ./path", strings.Join(t.Names(), ", ")))
}

// firstLine is the beginning of an error that is made for a terminal.
func firstLine(err error) string {
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimSpace(line); line != "" {
			return line
		}
	}
	return err.Error()
}
