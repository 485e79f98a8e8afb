package report

import "fmt"

// Expect holds the report against a list of known failures, by the specs' names.
// Specs that were flaky, skipped or missing stay so: neither shows that the list is
// right or wrong.
func (r *Report) Expect(list string, known map[string]Expectation) {
	r.Expectations = list
	for i := range r.Specs {
		s := &r.Specs[i]
		why, ok := known[s.Name]
		if !ok {
			continue
		}
		s.Expectation = &why
		switch s.State {
		case Failed:
			s.State = ExpectedFailure
		case Passed:
			s.State = UnexpectedPass
		case Flaky, Skipped, Missing, ExpectedFailure, UnexpectedPass:
		}
	}
}

// passedAtOnce says whether every attempt of a spec passed, whatever was expected.
func (s State) passedAtOnce() bool { return s == Passed || s == UnexpectedPass }

// Words say what became of specs in a state, after their number.
func (s State) Words() string {
	switch s {
	case ExpectedFailure:
		return "failed as expected"
	case UnexpectedPass:
		return "passed unexpectedly"
	case Passed, Failed, Flaky, Skipped, Missing:
	}
	return string(s)
}

func (e Expectation) text() string { return fmt.Sprintf("%s (%s)", e.Reason, e.Issue) }

// known is the first line of a failure that was expected.
func (e Expectation) known() string { return "known failure: " + e.text() }
