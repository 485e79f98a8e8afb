package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kluster-project/kluster/e2e/expect"
	"github.com/kluster-project/kluster/e2e/plan"
	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/internal/status"
)

// expect refuses lists of known failures that name specs which do not exist, or are
// of something else than this run, before anything takes its time.
func (r *run) expect(context.Context, status.Step) error {
	known := r.opt.Expectations
	if known == nil {
		return nil
	}
	if r.suite.MakesClusters {
		return usageError(fmt.Errorf("--expectations: suite %s makes its clusters itself, of any runtime", r.suite.Name), "leave it out")
	}
	runtimes := r.runtimes()
	if len(runtimes) > 1 {
		return usageError(fmt.Errorf("--expectations: the nodes have several container runtimes (%s), and a list is of one", strings.Join(runtimes, ", ")),
			"leave it out, or give all nodes the same runtime")
	}
	if len(runtimes) == 1 {
		if err := known.CheckUse(r.version, runtimes...); err != nil {
			return err
		}
	}
	if r.record != nil {
		return nil // the specs were looked at when the run began
	}
	return known.Check(r.version, r.allNames())
}

// listsFor are the lists of known failures that are of a suite's specs. kluster's own
// are of Kubernetes' and cri-tools' specs, not of those of a package.
func listsFor(s plan.Suite, all *expect.Table) (*expect.Table, error) {
	switch s.Program {
	case plan.CRI:
		return all.ForSuite(expect.SuiteCRI)
	case plan.Package:
		return all.Chosen().ForSuite("")
	default:
		return all.ForSuite("")
	}
}

// allNames are those of all specs of the programs, also of those that do not run.
func (r *run) allNames() []string {
	var names []string
	for _, p := range r.programs {
		names = append(names, p.plan.All...)
	}
	return names
}

// runtimes names the container runtimes of the nodes that the run is on, none if
// nobody has looked at them yet.
func (r *run) runtimes() []string {
	var facts []report.Cluster
	for _, t := range r.clusters {
		facts = append(facts, t.facts)
	}
	names := expect.Runtimes(facts)
	for _, cfg := range r.opt.Create {
		for _, n := range cfg.Nodes {
			if !slices.Contains(names, n.Runtime) {
				names = append(names, n.Runtime)
			}
		}
	}
	return names
}

// errExpected is why known failures and a certification exclude each other.
var errExpected = errors.New("a certified run has no failures that are expected")
