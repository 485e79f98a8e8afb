package runner

import (
	"errors"
	"os"
	"slices"
	"time"

	"github.com/kluster-project/kluster/e2e/event"
	"github.com/kluster-project/kluster/e2e/report"
)

// history is a journal that was read.
type history []entry

// plan is the whole plan of the run.
func (h history) plan() Plan { return *h[0].Begin.Plan }

// report is what the history tells.
func (h history) report() *report.Report {
	first := h[0]
	r := &report.Report{
		APIVersion: report.APIVersion, Kind: report.Kind,
		Suite: first.Begin.Suite, Started: first.Time, Ended: first.Time,
		Procs: first.Begin.Procs, Seed: first.Begin.Seed, Filter: first.Begin.Filter,
	}
	specs, over := newSpecs(h.plan()), true
	for i, e := range h {
		if e.Time.After(r.Ended) {
			r.Ended = e.Time
		}
		switch e.Kind {
		case kindBegin:
			if i > 0 && e.Begin.Round == 0 {
				r.Resumed++
			}
			r.Clusters, r.Parts = addNew(r.Clusters, e.Begin.Clusters, clusterKey), addNew(r.Parts, e.Begin.Parts, partKey)
			r.Interrupted, over = "", false
			specs.cut()
		case kindOver:
			r.Interrupted, over = e.Message, true
		case kindIncident:
			r.Incidents = append(r.Incidents, report.Incident{Time: e.Time, Text: e.Message})
		default:
			specs.add(e)
		}
	}
	r.Specs = specs.all()
	if !over && slices.ContainsFunc(r.Specs, func(s report.Spec) bool { return s.State == report.Missing }) {
		r.Interrupted = errLost.Error()
	}
	return r
}

// errLost is why a run ended of which the journal does not tell the end.
var errLost = errors.New("the runner was killed")

// Recorded is the report of what the journal of a folder tells, nil if no spec of
// it has begun.
func Recorded(dir string) (*report.Report, error) {
	h, err := readJournal(dir)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, errNotBegun) {
		return nil, nil //nolint:nilnil // there is nothing to tell, which is no error
	}
	if err != nil {
		return nil, err
	}
	return h.report(), nil
}

// specs collects attempts by the name of the spec.
type specs struct {
	list []*report.Spec // as planned, then what ran besides
	by   map[string]*report.Spec
	open map[string]int // name -> the attempt that has not ended
}

func newSpecs(p Plan) *specs {
	s := &specs{by: map[string]*report.Spec{}, open: map[string]int{}}
	for _, spec := range p.Specs {
		s.spec(spec.Name, spec.Labels)
	}
	return s
}

// spec finds or makes one.
func (s *specs) spec(name string, labels []string) *report.Spec {
	if spec := s.by[name]; spec != nil {
		return spec
	}
	spec := &report.Spec{Name: name, Labels: labels}
	s.list, s.by[name] = append(s.list, spec), spec
	return spec
}

// cut forgets attempts that can no longer end: their program is gone.
func (s *specs) cut() { clear(s.open) }

// add takes in an event.
func (s *specs) add(e entry) {
	spec := s.spec(e.Spec, e.Labels)
	at, ok := s.open[e.Spec]
	if !ok && e.Kind == event.End && e.State == "passed" {
		return // nothing passes that did not begin
	}
	if !ok || e.Kind == event.Start {
		at = len(spec.Attempts)
		spec.Attempts = append(spec.Attempts, report.Attempt{Cluster: e.Cluster, Proc: e.Proc, Started: e.began()})
		s.open[e.Spec] = at
	}
	a := &spec.Attempts[at]
	if e.Evidence != "" {
		a.Evidence = e.Evidence
	}
	if e.Message != "" {
		a.Message, a.Location = e.Message, e.Location
	}
	if e.Kind == event.End {
		a.State, a.Seconds, a.Output = e.State, e.Seconds, e.Output
		delete(s.open, e.Spec)
	}
}

// began is when the spec of an event began, as far as the event knows.
func (e entry) began() time.Time {
	return e.Time.Add(-time.Duration(e.Seconds * float64(time.Second)))
}

// all are the specs with what became of them.
func (s *specs) all() []report.Spec {
	out := make([]report.Spec, len(s.list))
	for i, spec := range s.list {
		spec.State = stateOf(spec.Attempts)
		out[i] = *spec
	}
	return out
}

// Ginkgo's words for a spec that failed. "interrupted" is none of them: the spec
// was not let to end.
var failedStates = []string{"failed", "panicked", "timedout", "aborted"}

// Failed says whether ginkgo's word for a state means that the spec failed.
func Failed(state string) bool { return slices.Contains(failedStates, state) }

// stateOf is what became of a spec with these attempts.
func stateOf(attempts []report.Attempt) report.State {
	has := map[string]bool{}
	for _, a := range attempts {
		has[a.State] = true
	}
	failed := slices.ContainsFunc(failedStates, func(state string) bool { return has[state] })
	switch {
	case failed && has["passed"]:
		return report.Flaky
	case failed:
		return report.Failed
	case has["passed"]:
		return report.Passed
	case has["skipped"]:
		return report.Skipped
	default:
		return report.Missing
	}
}
