package report

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// states in the order in which people want to see them.
var states = []State{Failed, UnexpectedPass, Flaky, Missing, Skipped, ExpectedFailure, Passed}

// Verdict is what a whole run comes to.
type Verdict string

// The verdicts. Of several, the first holds.
const (
	VerdictFailed Verdict = "failed" // a spec failed, or passed that was expected to fail
	// VerdictIncomplete: nothing failed, but planned specs never ran to their end,
	// a conformance spec was skipped, or nothing was planned.
	VerdictIncomplete Verdict = "incomplete"
	VerdictFlaky      Verdict = "flaky" // all passed in the end, some not at once
	VerdictOK         Verdict = "ok"    // all passed, or failed as expected
)

// Summary counts a report.
type Summary struct {
	Verdict Verdict `json:"verdict"`
	Planned int     `json:"planned"`
	// Executed are the planned specs that ran to an end: passed, failed or flaky,
	// expected or not.
	Executed int `json:"executed"`
	Passed   int `json:"passed"`
	Failed   int `json:"failed"`
	Flaky    int `json:"flaky"`
	Skipped  int `json:"skipped"`
	Missing  int `json:"missing"`
	// Of specs on a list of known failures; Failed and Passed are the others.
	ExpectedFailures int `json:"expectedFailures,omitempty"`
	UnexpectedPasses int `json:"unexpectedPasses,omitempty"`
	// Unproven are the conformance specs that were skipped or are missing, but not
	// those that are left out.
	Unproven int `json:"unproven"`
	// Seconds is the wall time of the run.
	Seconds float64 `json:"seconds"`
}

// Summarize counts the specs and judges the run.
func (r *Report) Summarize() Summary {
	s := Summary{Planned: len(r.Specs), Seconds: r.Wall().Seconds()}
	for _, spec := range r.Specs {
		*s.count(spec.State)++
		if spec.Conformance() && (spec.State == Skipped || spec.State == Missing) && spec.LeftOut == "" {
			s.Unproven++
		}
	}
	s.Executed = s.Passed + s.Failed + s.Flaky + s.ExpectedFailures + s.UnexpectedPasses
	switch {
	case s.Failed > 0, s.UnexpectedPasses > 0:
		s.Verdict = VerdictFailed
	case s.Executed == 0, s.Missing > 0, s.Unproven > 0, r.Interrupted != "":
		s.Verdict = VerdictIncomplete
	case s.Flaky > 0:
		s.Verdict = VerdictFlaky
	default:
		s.Verdict = VerdictOK
	}
	return s
}

// count is where specs of a state are counted.
func (s *Summary) count(state State) *int {
	switch state {
	case Passed:
		return &s.Passed
	case Failed:
		return &s.Failed
	case Flaky:
		return &s.Flaky
	case Skipped:
		return &s.Skipped
	case ExpectedFailure:
		return &s.ExpectedFailures
	case UnexpectedPass:
		return &s.UnexpectedPasses
	default:
		return &s.Missing
	}
}

// Of is the number of specs in a state.
func (s Summary) Of(state State) int { return *s.count(state) }

// Headline is the outcome in a few words: all counts that are not zero.
func (s Summary) Headline() string {
	words := s.passed()
	for _, state := range states {
		if n := s.Of(state); n > 0 && state != Passed {
			words += fmt.Sprintf(", %d %s", n, state.Words())
		}
	}
	return words
}

// passed says how many specs passed.
func (s Summary) passed() string {
	switch {
	case s.Planned == 0:
		return "no spec was planned"
	case s.Passed == s.Planned && s.Planned > 1:
		return fmt.Sprintf("all %d specs passed", s.Planned)
	default:
		return fmt.Sprintf("%d of %s passed", s.Passed, plural(s.Planned, "spec", "specs"))
	}
}

// Wall is how long the run took.
func (r *Report) Wall() time.Duration {
	if r.Ended.Before(r.Started) {
		return 0
	}
	return r.Ended.Sub(r.Started)
}

// Conformance says whether the spec is one that conformance asks for.
func (s Spec) Conformance() bool {
	return slices.Contains(s.Labels, "Conformance") || strings.Contains(s.Name, "[Conformance]")
}

// Seconds is how long the last attempt took, 0 if there was none.
func (s Spec) Seconds() float64 {
	if len(s.Attempts) == 0 {
		return 0
	}
	return s.Attempts[len(s.Attempts)-1].Seconds
}

// Failure is the first attempt that did not pass, nil if there is none.
func (s Spec) Failure() *Attempt {
	for i, a := range s.Attempts {
		if a.State != "passed" {
			return &s.Attempts[i]
		}
	}
	return nil
}

// Message says in its own words why the spec is not simply passed, "" if it is.
func (s Spec) Message() string {
	a := s.Failure()
	switch {
	case s.State == Passed:
		return ""
	case s.LeftOut != "":
		return "left out: " + s.LeftOut
	case s.State == UnexpectedPass:
		return "passed, but it is on the list of known failures: " + s.Expectation.text()
	case s.State == ExpectedFailure:
		return s.Expectation.known() + "\n" + Spec{State: Failed, Attempts: s.Attempts}.Message()
	case len(s.Attempts) == 0:
		return "planned, but it never ran"
	case a == nil:
		return fmt.Sprintf("%s, though no attempt failed", s.State)
	case a.Message != "":
		return plain(a.Message)
	case a.State == "":
		return "it began, but never ended"
	default:
		return a.State + ", without a message"
	}
}

// InState are the specs of a state, in the report's order.
func (r *Report) InState(state State) []Spec {
	var found []Spec
	for _, s := range r.Specs {
		if s.State == state {
			found = append(found, s)
		}
	}
	return found
}

// StandIns are the parts that differ from upstream's.
func (r *Report) StandIns() []Part {
	var found []Part
	for _, p := range r.Parts {
		if p.StandIn != "" {
			found = append(found, p)
		}
	}
	return found
}

// Versions are the clusters' versions of Kubernetes, each once.
func (r *Report) Versions() []string {
	var found []string
	for _, c := range r.Clusters {
		if c.Kubernetes != "" && !slices.Contains(found, c.Kubernetes) {
			found = append(found, c.Kubernetes)
		}
	}
	return found
}
