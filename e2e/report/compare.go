package report

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kluster-project/kluster/internal/failure"
)

// ComparisonKind is the kind of a comparison's JSON form.
const ComparisonKind = "E2EComparison"

// A duration is worth a look when it is that many times another's, and that many
// seconds away from it.
const (
	slowerRatio   = 2
	slowerSeconds = 5
)

// Named is a report and the name that it is compared under.
type Named struct {
	Name   string
	Report *Report
}

// NotRun is a run that did not come to a report.
type NotRun struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// Difference is how a spec's results differ between reports.
type Difference string

// The differences. Of several, the first holds.
const (
	StateDiffers Difference = "state" // it passes on one and not on another
	// DiffersAsExpected: the same, and each that does not pass is a known failure.
	DiffersAsExpected Difference = "expected"
	Absent            Difference = "absent" // some reports did not plan it
	TimeDiffers       Difference = "time"   // it took much longer on one
	Same              Difference = "same"
)

// differences in the order of what is worth a look first.
var differences = []Difference{StateDiffers, DiffersAsExpected, Absent, TimeDiffers, Same}

// Comparison holds several reports against the first of them.
type Comparison struct {
	APIVersion string     `json:"apiVersion"`
	Kind       string     `json:"kind"`
	Reports    []Compared `json:"reports"`
	// NotRun are runs of which there is no report to compare.
	NotRun []NotRun `json:"notRun,omitempty"`
	// Remarks are what makes the reports hard to compare, such as other versions.
	Remarks []string `json:"remarks,omitempty"`
	// Specs have the order of what is worth a look first.
	Specs []ComparedSpec `json:"specs"`
}

// Compared is one of the reports.
type Compared struct {
	Name       string   `json:"name"`
	Suite      string   `json:"suite"`
	Kubernetes []string `json:"kubernetes,omitempty"`
	Runtimes   []string `json:"runtimes,omitempty"`
	Procs      int      `json:"procs"`
	Summary    Summary  `json:"summary"`
	// SpecSeconds is the sum of the durations of those specs that passed on all.
	SpecSeconds float64 `json:"specSeconds"`
	// Ratio is that to the first report's, 0 where there is none.
	Ratio float64 `json:"ratio,omitempty"`
}

// ComparedSpec is one spec on all of the reports.
type ComparedSpec struct {
	Name       string     `json:"name"`
	Difference Difference `json:"difference"`
	// Results are in the reports' order.
	Results []Result `json:"results"`
}

// Result is what became of a spec on one report.
type Result struct {
	State   State   `json:"state,omitempty"` // "" if it was not planned
	Seconds float64 `json:"seconds"`
	// Ratio is that of the duration to the first report's, where both passed.
	Ratio float64 `json:"ratio,omitempty"`
	// Message is why it did not pass, in one line.
	Message string `json:"message,omitempty"`
}

// LoadAll reads reports to compare. Their names are those of their folders, or
// the paths where that says too little.
func LoadAll(paths ...string) ([]Named, error) {
	var all []Named
	taken := map[string]int{}
	for _, path := range paths {
		r, folder, err := Load(path)
		if err != nil {
			return nil, err
		}
		folder, err = filepath.Abs(folder)
		if err != nil {
			return nil, fmt.Errorf("reading report: %w", err)
		}
		all = append(all, Named{filepath.Base(folder), r})
		taken[filepath.Base(folder)]++
	}
	for i, n := range all {
		if taken[n.Name] > 1 {
			all[i].Name = paths[i]
		}
	}
	return all, nil
}

// Compare holds reports against the first.
func Compare(reports ...Named) (*Comparison, error) {
	if len(reports) < 2 {
		return nil, failure.New("comparing takes two reports or more", failure.Exit(failure.CodeUsage))
	}
	return CompareRuns(nil, reports...)
}

// CompareRuns is Compare of runs that were to be compared, of which some have no
// report, and at least one has.
func CompareRuns(notRun []NotRun, reports ...Named) (*Comparison, error) {
	c := &Comparison{APIVersion: APIVersion, Kind: ComparisonKind, NotRun: notRun}
	for i, n := range reports {
		if slices.ContainsFunc(reports[:i], func(other Named) bool { return other.Name == n.Name }) {
			return nil, failure.New(fmt.Sprintf("the report %s is given twice", n.Name), failure.Exit(failure.CodeUsage))
		}
		c.Reports = append(c.Reports, n.summary())
	}
	c.specs(reports)
	c.sums()
	c.remarks(reports)
	return c, nil
}

func (n Named) summary() Compared {
	var runtimes []string
	for _, cluster := range n.Report.Clusters {
		for _, node := range cluster.Nodes {
			if !slices.Contains(runtimes, node.Runtime) {
				runtimes = append(runtimes, node.Runtime)
			}
		}
	}
	r := n.Report
	return Compared{Name: n.Name, Suite: r.Suite, Kubernetes: r.Versions(), Runtimes: runtimes, Procs: r.Procs, Summary: r.Summarize()}
}

// occurrence tells specs of one name apart: ginkgo allows several.
type occurrence struct {
	name string
	n    int
}

// specs joins the reports' specs by name.
func (c *Comparison) specs(reports []Named) {
	results := map[occurrence][]Result{}
	for i, n := range reports {
		seen := map[string]int{}
		for _, s := range n.Report.Specs {
			key := occurrence{s.Name, seen[s.Name]}
			seen[s.Name]++
			if results[key] == nil {
				results[key] = make([]Result, len(reports))
			}
			results[key][i] = Result{State: s.State, Seconds: s.Seconds(), Message: oneLine(s.Message(), 300)}
		}
	}
	keys := slices.SortedFunc(maps.Keys(results), func(a, b occurrence) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.n, b.n))
	})
	for _, key := range keys {
		all := results[key]
		for i := range all {
			if all[0].State == Passed && all[i].State == Passed && all[0].Seconds > 0 {
				all[i].Ratio = round(all[i].Seconds / all[0].Seconds)
			}
		}
		c.Specs = append(c.Specs, ComparedSpec{key.name, difference(all), all})
	}
	slices.SortStableFunc(c.Specs, func(a, b ComparedSpec) int {
		return cmp.Or(
			cmp.Compare(slices.Index(differences, a.Difference), slices.Index(differences, b.Difference)),
			cmp.Compare(b.spread(), a.spread()))
	})
}

func difference(all []Result) Difference {
	absent, passed, not, known := false, false, false, true
	for _, r := range all {
		absent = absent || r.State == ""
		passed = passed || r.State.passedAtOnce()
		not = not || r.State != "" && !r.State.passedAtOnce()
		known = known && (r.State == "" || r.State == Passed || r.State == ExpectedFailure)
	}
	switch {
	case passed && not && known:
		return DiffersAsExpected
	case passed && not:
		return StateDiffers
	case absent:
		return Absent
	case passed && slower(all):
		return TimeDiffers
	default:
		return Same
	}
}

func slower(all []Result) bool {
	least, most := extremes(all)
	return most-least >= slowerSeconds && most >= least*slowerRatio
}

// extremes are the least and the greatest duration.
func extremes(all []Result) (least, most float64) {
	least = math.Inf(1)
	for _, r := range all {
		least, most = min(least, r.Seconds), max(most, r.Seconds)
	}
	return least, most
}

// spread is by how many seconds a spec that merely took longer did so, for the
// order: the others are in that of their names.
func (s ComparedSpec) spread() float64 {
	if s.Difference != TimeDiffers {
		return 0
	}
	least, most := extremes(s.Results)
	return most - least
}

// sums adds up what can be compared: the specs that passed everywhere.
func (c *Comparison) sums() {
	for _, s := range c.Specs {
		if slices.ContainsFunc(s.Results, func(r Result) bool { return r.State != Passed }) {
			continue
		}
		for i, r := range s.Results {
			c.Reports[i].SpecSeconds += r.Seconds
		}
	}
	for i := range c.Reports {
		c.Reports[i].SpecSeconds = round(c.Reports[i].SpecSeconds)
		if first := c.Reports[0].SpecSeconds; first > 0 {
			c.Reports[i].Ratio = round(c.Reports[i].SpecSeconds / first)
		}
	}
}

// round keeps three digits, so that equal sums read equal.
func round(f float64) float64 { return math.Round(f*1000) / 1000 }

// remarks name what else than the cluster may be the cause of a difference.
func (c *Comparison) remarks(reports []Named) {
	for _, a := range []struct {
		what string
		of   func(*Report) string
	}{
		{"suites", func(r *Report) string { return r.Suite }},
		{"versions of Kubernetes", func(r *Report) string { return strings.Join(r.Versions(), ", ") }},
		{"numbers of processes", func(r *Report) string { return fmt.Sprint(r.Procs) }},
		{"filters", func(r *Report) string { return r.Filter.text() }},
	} {
		var values []string
		differ := false
		for _, n := range reports {
			value := a.of(n.Report)
			values = append(values, n.Name+": "+cmp.Or(value, "none"))
			differ = differ || value != a.of(reports[0].Report)
		}
		if differ {
			c.Remarks = append(c.Remarks, fmt.Sprintf("the %s differ (%s)", a.what, strings.Join(values, "; ")))
		}
	}
}

// Count is the number of specs with a difference.
func (c *Comparison) Count(d Difference) int {
	n := 0
	for _, s := range c.Specs {
		if s.Difference == d {
			n++
		}
	}
	return n
}

// Headline is the outcome in a few words.
func (c *Comparison) Headline() string {
	if n := c.Count(StateDiffers); n > 0 {
		return fmt.Sprintf("%s not have the same result everywhere", plural(n, "spec does", "specs do"))
	}
	if n := c.Count(DiffersAsExpected); n > 0 {
		return fmt.Sprintf("%s elsewhere, all of them as expected", plural(n, "spec that passes on one fails", "specs that pass on one fail"))
	}
	if c.Count(Absent) == len(c.Specs) {
		return "the reports have no spec in common"
	}
	if len(c.Reports) == 1 {
		return "there is one report only: nothing to compare"
	}
	return "no spec passes on one and fails on another"
}

// JSON is the form for machines.
func (c *Comparison) JSON() ([]byte, error) { return marshal(c) }

// Err is an error if a spec passes on one report and not on another, and that is no
// known failure, so that a script can ask for equal results.
func (c *Comparison) Err() error {
	if c.Count(StateDiffers) == 0 {
		return nil
	}
	return failure.With(errors.New(c.Headline()), failure.Exit(failure.CodeTests))
}
