package report

import (
	"bytes"
	"encoding/xml"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/failure"
)

var why = Expectation{"there are no image mounts", "https://example.invalid/526"}

// expected is a report of which two specs are on the list of known failures.
func expected() *Report {
	r := &Report{Suite: "smoke", Specs: []Spec{
		spec("a fails", Failed, 1), spec("b passes", Passed, 1), spec("c is flaky", Flaky, 1), spec("d is other", Passed, 1),
		spec("e is skipped", Skipped, 1),
		{Name: "f never ran", State: Missing},
	}}
	r.Expect("x.yaml", map[string]Expectation{"a fails": why, "b passes": why, "c is flaky": why, "e is skipped": why, "f never ran": why, "g": why})
	return r
}

func TestExpect(t *testing.T) {
	var got []State
	for _, s := range expected().Specs {
		got = append(got, s.State)
	}
	if diff := cmp.Diff([]State{ExpectedFailure, UnexpectedPass, Flaky, Passed, Skipped, Missing}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(Summary{
		Verdict: VerdictFailed, Planned: 6, Executed: 4, Passed: 1, Flaky: 1, Skipped: 1, Missing: 1, ExpectedFailures: 1, UnexpectedPasses: 1,
	}, expected().Summarize()); diff != "" {
		t.Error(diff)
	}
}

func TestVerdictOfKnownFailures(t *testing.T) {
	of := func(specs ...Spec) Verdict {
		r := &Report{Specs: append(specs, spec("z", Passed, 1))}
		r.Expect("x.yaml", map[string]Expectation{"a": why})
		return r.Summarize().Verdict
	}
	for name, test := range map[string]struct{ got, want Verdict }{
		"it fails":      {of(spec("a", Failed, 1)), VerdictOK},
		"another fails": {of(spec("a", Failed, 1), spec("b", Failed, 1)), VerdictFailed},
		"it passes":     {of(spec("a", Passed, 1)), VerdictFailed},
		"it is missing": {of(Spec{Name: "a", State: Missing}), VerdictIncomplete},
	} {
		if test.got != test.want {
			t.Errorf("%s: %s, want %s", name, test.got, test.want)
		}
	}
}

func TestKnownFailuresAreShown(t *testing.T) {
	r := expected()
	var text, markdown, html, junit bytes.Buffer
	for _, err := range []error{r.WriteText(&text), r.WriteMarkdown(&markdown), r.WriteHTML(&html, nil), r.WriteJUnit(&junit)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for form, out := range map[string]string{"text": text.String(), "markdown": markdown.String(), "html": html.String()} {
		for _, want := range []string{"1 failed as expected", "1 passed unexpectedly", "known failure: there are no image mounts", "on the list of known failures"} {
			if form == "html" {
				out = strings.ReplaceAll(strings.ReplaceAll(out, "<b class=\"num\">", ""), "</b>", " ")
				out = strings.ReplaceAll(out, "  ", " ")
			}
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in\n%.600s", form, want, out)
			}
		}
	}
	var suites junitSuites
	if err := xml.Unmarshal(junit.Bytes(), &suites); err != nil {
		t.Fatal(err)
	}
	s := suites.Suites[0]
	if s.Failures != 1 || s.Skipped != 2 || s.Cases[0].Skipped == nil || s.Cases[0].Failure != nil || !strings.Contains(s.Cases[0].SystemOut, "because") || s.Cases[1].Failure == nil {
		t.Errorf("%+v", s)
	}
}

func TestKnownFailuresCompared(t *testing.T) {
	one := &Report{Specs: []Spec{spec("a", Passed, 1), spec("b", Passed, 1)}}
	two := &Report{Specs: []Spec{spec("a", Failed, 1), spec("b", Passed, 1)}}
	two.Expect("x.yaml", map[string]Expectation{"a": why})
	c, err := Compare(Named{"containerd", one}, Named{"cri-dockerd", two})
	if must(t, c, err).Err() != nil || c.Count(DiffersAsExpected) != 1 {
		t.Errorf("%v, %+v", c.Err(), c.Specs)
	}
	var b bytes.Buffer
	if err := c.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"AS EXPECTED", "Results differ as expected:", "failed as expected 1.0s", "all of them as expected"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	three := &Report{Specs: []Spec{spec("a", Failed, 1), spec("b", Passed, 1)}}
	c, err = Compare(Named{"containerd", one}, Named{"cri-dockerd", two}, Named{"cri-o", three})
	if failure.Code(must(t, c, err).Err()) != failure.CodeTests {
		t.Errorf("one fails unexpectedly: %v", c.Err())
	}
}

func TestStateWithoutExpectation(t *testing.T) {
	_, err := Parse([]byte(`{"apiVersion":"kluster.dev/v1alpha1","kind":"E2EReport","specs":[{"name":"a","state":"unexpected-pass"}]}`))
	if err == nil || !strings.Contains(err.Error(), "without what was expected") {
		t.Error(err)
	}
}
