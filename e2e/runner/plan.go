package runner

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/onsi/ginkgo/v2/types"

	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/internal/failure"
)

// Program is a compiled ginkgo suite.
type Program struct {
	Path   string   // the test program, its name ends in ".test"
	Ginkgo string   // ginkgo's CLI; needed for more than one process
	Args   []string // further arguments of the program: "--provider=skeleton"
	Env    []string // further variables, "K=V"
	// WorkDir is where the program runs, as "go test" runs one in its package's
	// folder; "" for a temporary folder.
	WorkDir string
}

// Plan is what a suite would run.
type Plan struct {
	// Description is the suite's own, which ginkgo puts before the name of each
	// spec when it compares it with a regular expression.
	Description string `json:"description"`
	Specs       []Spec `json:"specs"`
	// All are the names of all specs of the program, also of those that the filter
	// leaves out. It is known right after planning only.
	All []string `json:"-"`
}

// Spec is a spec that is to run.
type Spec struct {
	Name   string   `json:"name"`
	Labels []string `json:"labels,omitempty"`
	// Serial specs run alone, after all others.
	Serial bool `json:"serial,omitempty"`
	// Group is what specs have in common that must run together, in order; ""
	// for most, and for all where ginkgo's report does not tell, as older ones do not.
	Group string `json:"group,omitempty"`
}

// Names are the names of the specs.
func (p Plan) Names() []string {
	names := make([]string, len(p.Specs))
	for i, s := range p.Specs {
		names[i] = s.Name
	}
	return names
}

// useful is how many of so many processes would have something to do.
func (p Plan) useful(procs int) int {
	parallel := 0
	for _, s := range p.Specs {
		if !s.Serial {
			parallel++
		}
	}
	return max(1, min(procs, parallel))
}

// MakePlan asks the suite what it would run, without a cluster.
func MakePlan(ctx context.Context, p Program, f report.Filter) (Plan, error) {
	p, err := p.checked(1)
	if err != nil {
		return Plan{}, err
	}
	dir, err := os.MkdirTemp("", "kluster-e2e-")
	if err != nil {
		return Plan{}, fmt.Errorf("planning the suite: %w", err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "plan.json")
	flags := append(filterFlags(f), "--dry-run", "--no-color", "--succinct", "--silence-skips", "--json-report="+file)
	args := append([]string{"--test.timeout=0"}, prefixed(flags)...)
	cmd := Together(exec.CommandContext(ctx, p.Path, append(args, p.Args...)...))
	cmd.Dir, cmd.Env = cmp.Or(p.WorkDir, dir), append(os.Environ(), p.Env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return Plan{}, context.Cause(ctx)
		}
		return Plan{}, failure.With(fmt.Errorf("planning the suite: %s: %w", filepath.Base(p.Path), err),
			failure.Output(out.String()))
	}
	r, err := readGinkgo(file)
	if err != nil {
		return Plan{}, fmt.Errorf("planning the suite: %w", err)
	}
	return planOf(r)
}

// planOf is the plan that a dry run reports.
func planOf(r types.Report) (Plan, error) {
	plan := Plan{Description: r.SuiteDescription}
	seen := map[string]string{}
	for _, s := range r.SpecReports {
		if s.LeafNodeType != types.NodeTypeIt {
			continue
		}
		plan.All = append(plan.All, s.FullText())
		if !s.State.Is(types.SpecStatePassed) {
			continue
		}
		// Reports of older ginkgos lack IsSerial; Kubernetes has a label besides.
		serial := s.IsSerial || slices.Contains(s.Labels(), "Serial")
		spec := Spec{Name: s.FullText(), Labels: s.Labels(), Serial: serial}
		if s.IsInOrderedContainer {
			// Which of its containers is the ordered one is not told.
			spec.Group = s.ContainerHierarchyLocations[0].String()
		}
		at := s.LeafNodeLocation.String()
		if other, ok := seen[spec.Name]; ok {
			return Plan{}, failure.New(fmt.Sprintf("two specs have the name %q: %s and %s", spec.Name, other, at),
				failure.Hint("their results could not be told apart: rename one"))
		}
		seen[spec.Name] = at
		plan.Specs = append(plan.Specs, spec)
	}
	return plan, nil
}

// checked is the program with absolute paths, when it can be run in so many
// processes.
func (p Program) checked(procs int) (Program, error) {
	if !strings.HasSuffix(p.Path, ".test") {
		return p, failure.New(fmt.Sprintf("%s is no compiled suite", p.Path),
			failure.Hint("compile one with: go test -c -o NAME.test"))
	}
	files := []*string{&p.Path}
	if procs > 1 {
		if p.Ginkgo == "" {
			return p, failure.New(fmt.Sprintf("%d processes need ginkgo's program", procs), failure.Hint("run with one process"))
		}
		files = append(files, &p.Ginkgo)
	}
	for _, file := range files {
		var err error
		if *file, err = filepath.Abs(*file); err != nil {
			return p, fmt.Errorf("looking at the suite: %w", err)
		}
		if info, err := os.Stat(*file); err != nil {
			return p, fmt.Errorf("looking at the suite: %w", err)
		} else if info.IsDir() || info.Mode()&0o111 == 0 {
			return p, fmt.Errorf("looking at the suite: %s is no program", *file)
		}
	}
	if p.WorkDir != "" {
		var err error
		if p.WorkDir, err = filepath.Abs(p.WorkDir); err != nil {
			return p, fmt.Errorf("looking at the suite: %w", err)
		}
	}
	return p, nil
}

// errNoReport is the lack of a report by ginkgo: its program died.
var errNoReport = errors.New("ginkgo wrote no report")

// readGinkgo reads ginkgo's JSON report of one suite.
func readGinkgo(file string) (types.Report, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return types.Report{}, fmt.Errorf("%w: %w", errNoReport, err)
	}
	var reports []types.Report
	if err := json.Unmarshal(data, &reports); err != nil {
		return types.Report{}, fmt.Errorf("%w that can be read: %w", errNoReport, err)
	}
	if len(reports) != 1 {
		return types.Report{}, fmt.Errorf("%w of one suite, but of %d", errNoReport, len(reports))
	}
	return reports[0], nil
}
