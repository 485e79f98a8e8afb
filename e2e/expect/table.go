package expect

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"golang.org/x/mod/semver"

	"github.com/kluster-project/kluster/configs"
	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/suggest"
)

// Words that a user may give in place of files.
const (
	BuiltIn = "builtin" // kluster's own lists
	None    = "none"
)

// Table is lists of several runtimes. The nil one expects nothing.
type Table struct{ lists []*List }

// Load reads what a user chose: None, or files, each of which takes the place of
// kluster's own list of its runtime and version. BuiltIn alone is kluster's own;
// nothing at all is None.
func Load(chosen ...string) (*Table, error) {
	if len(chosen) == 0 || slices.Equal(chosen, []string{None}) {
		return nil, nil //nolint:nilnil // nothing is expected
	}
	if slices.Contains(chosen, None) {
		return nil, usage(errors.New(`"none" and others exclude each other`))
	}
	t := &Table{}
	for _, file := range chosen {
		if file == BuiltIn {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, usage(fmt.Errorf("reading expectations: %w", err))
		}
		l, err := Parse(file, data)
		if err != nil {
			return nil, usage(err)
		}
		l.chosen = true
		if other := t.same(l); other != nil {
			return nil, usage(fmt.Errorf("expectations %s and %s are both of %s", other.Source, file, l.of()))
		}
		t.lists = append(t.lists, l)
	}
	own, err := parseAll(configs.Expectations())
	if err != nil {
		return nil, err
	}
	for _, l := range own {
		if t.same(l) == nil {
			t.lists = append(t.lists, l)
		}
	}
	return t, nil
}

func usage(err error) error {
	return failure.With(err, failure.Exit(failure.CodeUsage),
		failure.Hint("give the FILE of a runtime and version, %s for kluster's own, or %s", BuiltIn, None))
}

// parseAll reads kluster's own lists, whose names say what they are of.
func parseAll(files fs.FS) ([]*List, error) {
	names, err := fs.Glob(files, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("reading kluster's own expectations: %w", err)
	}
	var all []*List
	for _, name := range names {
		data, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("reading kluster's own expectations: %w", err)
		}
		l, err := Parse(name, data)
		if err != nil {
			return nil, err
		}
		if name != l.fileName() {
			return nil, fmt.Errorf("expectations %s: the file is of %s, so its name must be %s", name, l.of(), l.fileName())
		}
		all = append(all, l)
	}
	return all, nil
}

// same finds the list that is of the same as another one.
func (t *Table) same(other *List) *List {
	for _, l := range t.lists {
		if l.Suite == other.Suite && l.fits(other.Runtime, other.Kubernetes) {
			return l
		}
	}
	return nil
}

// ForSuite gives the table for the specs of one suite: SuiteCRI, or "" for those of
// Kubernetes. A file that a user chose must be of that suite.
func (t *Table) ForSuite(suite string) (*Table, error) {
	if t == nil {
		return nil, nil //nolint:nilnil // nothing is expected
	}
	of := &Table{}
	for _, l := range t.lists {
		switch {
		case l.Suite == suite:
			of.lists = append(of.lists, l)
		case l.chosen:
			return nil, usage(fmt.Errorf("expectations %s are of %s, whose specs this suite does not have", l.Source, l.of()))
		}
	}
	return of, nil
}

// Chosen gives the table without kluster's own lists.
func (t *Table) Chosen() *Table {
	if t == nil {
		return nil
	}
	return &Table{lists: slices.DeleteFunc(slices.Clone(t.lists), func(l *List) bool { return !l.chosen })}
}

// find finds the list of a runtime and version, in a table for one suite.
func (t *Table) find(runtime, minor string) *List {
	for _, l := range t.lists {
		if l.fits(runtime, minor) {
			return l
		}
	}
	return nil
}

// Check sees that specs of the lists of a version exist. specs are all that the
// suite's program holds, not just those that a run picks: a list is of all suites.
func (t *Table) Check(version string, specs []string) error {
	if t == nil {
		return nil
	}
	known := map[string]bool{}
	for _, name := range specs {
		known[name] = true
	}
	var errs []error
	for _, l := range t.lists {
		if l.Kubernetes != semver.MajorMinor(version) {
			continue
		}
		for _, f := range l.Failures {
			if known[f.Spec] {
				continue
			}
			what := fmt.Sprintf("expectations %s: the suite's program has no spec %q", l.Source, f.Spec)
			if near := suggest.Nearest(f.Spec, specs); near != "" {
				what += fmt.Sprintf(" (did you mean %q?)", near)
			}
			errs = append(errs, errors.New(what))
		}
	}
	return failure.With(errors.Join(errs...), failure.Exit(failure.CodeUsage),
		failure.Hint("specs have the names that --dry-run lists"))
}

// For gives the table for clusters of one runtime and version alone, and whether a
// list is of them.
func (t *Table) For(runtime, version string) (*Table, bool) {
	if t == nil {
		return nil, false
	}
	l := t.find(runtime, semver.MajorMinor(version))
	if l == nil {
		return &Table{}, false
	}
	return &Table{lists: []*List{l}}, true
}

// CheckUse sees that each file that a user chose is of one of the runtimes with a
// version.
func (t *Table) CheckUse(version string, runtimes ...string) error {
	if t == nil {
		return nil
	}
	minor := semver.MajorMinor(version)
	for _, l := range t.lists {
		if l.chosen && (l.Kubernetes != minor || !slices.Contains(runtimes, l.Runtime)) {
			return usage(fmt.Errorf("expectations %s are of %s, and the run is of %s with Kubernetes %s",
				l.Source, l.of(), strings.Join(runtimes, " and "), minor))
		}
	}
	return nil
}

// Apply holds a report against the list of its clusters' runtime and version: known
// failures become such, and specs that passed all the same are told. It leaves a
// report alone of which there is no list.
func (t *Table) Apply(r *report.Report) {
	if t == nil {
		return
	}
	runtimes, versions := Runtimes(r.Clusters), r.Versions()
	if len(runtimes) != 1 || len(versions) != 1 {
		return
	}
	l := t.find(runtimes[0], semver.MajorMinor(versions[0]))
	if l == nil {
		return
	}
	known := map[string]report.Expectation{}
	for _, f := range l.Failures {
		known[f.Spec] = report.Expectation{Reason: f.Reason, Issue: f.Issue}
	}
	r.Expect(l.Source, known)
}

// Runtimes names the container runtimes of clusters' nodes, each once. One that is
// none of kluster's has the name that the nodes give it.
func Runtimes(clusters []report.Cluster) []string {
	var names []string
	for _, c := range clusters {
		for _, n := range c.Nodes {
			name, _, _ := strings.Cut(n.Runtime, "://")
			if known, ok := cri.Reported(n.Runtime); ok {
				name = known.Name
			}
			if name != "" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}
