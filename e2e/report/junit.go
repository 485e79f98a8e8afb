package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// junitOutput is the most of an attempt's output that goes into JUnit, in bytes.
const junitOutput = 64 << 10

type junitSuites struct {
	XMLName xml.Name `xml:"testsuites"`
	junitCounts
	Suites []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	junitCounts
	Timestamp  string          `xml:"timestamp,attr"`
	Properties []junitProperty `xml:"properties>property"`
	Cases      []junitCase     `xml:"testcase"`
}

type junitCounts struct {
	Name     string `xml:"name,attr"`
	Tests    int    `xml:"tests,attr"`
	Failures int    `xml:"failures,attr"`
	Errors   int    `xml:"errors,attr"`
	Skipped  int    `xml:"skipped,attr"`
	Time     string `xml:"time,attr"`
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

// junitCase is one planned spec. Attempts are in the form of Maven's Surefire,
// which CI systems read: rerunFailure after a failure where none passed,
// flakyFailure where the last did.
type junitCase struct {
	Name      string        `xml:"name,attr"`
	Class     string        `xml:"classname,attr"`
	Time      string        `xml:"time,attr"`
	File      string        `xml:"file,attr,omitempty"`
	Line      string        `xml:"line,attr,omitempty"`
	Failure   *junitFailure `xml:"failure"`
	Error     *junitFailure `xml:"error"`
	Skipped   *junitSkipped `xml:"skipped"`
	Reruns    []junitRerun  `xml:"rerunFailure"`
	Flakes    []junitRerun  `xml:"flakyFailure"`
	SystemOut string        `xml:"system-out,omitempty"`
}

type junitSkipped struct {
	Message string `xml:"message,attr,omitempty"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",chardata"`
}

// junitRerun is a later attempt that failed.
type junitRerun struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Time    string `xml:"time,attr"`
	Text    string `xml:"stackTrace"`
	Output  string `xml:"system-out,omitempty"`
}

// WriteJUnit writes one testcase for each planned spec. A spec that never ran is
// an error; one that failed as expected counts as skipped, with its failure in the
// output, and one that passed unexpectedly as failed.
func (r *Report) WriteJUnit(w io.Writer) error {
	s := r.Summarize()
	counts := junitCounts{r.Suite, s.Planned, s.Failed + s.UnexpectedPasses, s.Missing, s.Skipped + s.ExpectedFailures, seconds(s.Seconds)}
	suite := junitSuite{
		junitCounts: counts,
		Timestamp:   r.Started.UTC().Format(time.RFC3339),
		Properties:  r.junitProperties(s),
	}
	for _, spec := range r.Specs {
		suite.Cases = append(suite.Cases, r.junitCase(spec))
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return fmt.Errorf("writing JUnit: %w", err)
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(junitSuites{junitCounts: counts, Suites: []junitSuite{suite}}); err != nil {
		return fmt.Errorf("writing JUnit: %w", err)
	}
	if _, err := io.WriteString(w, "\n"); err != nil {
		return fmt.Errorf("writing JUnit: %w", err)
	}
	return nil
}

func (r *Report) junitProperties(s Summary) []junitProperty {
	all := []junitProperty{
		{"verdict", string(s.Verdict)},
		{"kubernetes", strings.Join(r.Versions(), " ")},
		{"processes", strconv.Itoa(r.Procs)},
		{"seed", strconv.FormatInt(r.Seed, 10)},
		{"flaky", strconv.Itoa(s.Flaky)},
		{"expectations", r.Expectations},
		{"interrupted", r.Interrupted},
		{"labelFilter", r.Filter.Labels},
		{"focus", strings.Join(r.Filter.Focus, " | ")},
		{"skip", strings.Join(r.Filter.Skip, " | ")},
	}
	for _, p := range r.StandIns() {
		all = append(all, junitProperty{"standIn " + p.Name, p.StandIn})
	}
	var set []junitProperty
	for _, p := range all {
		if p.Value != "" {
			set = append(set, p)
		}
	}
	return set
}

func (r *Report) junitCase(s Spec) junitCase {
	c := junitCase{Name: s.Name, Class: className(r.Suite, s.Name), Time: seconds(s.Seconds())}
	if a := s.Failure(); a != nil {
		c.File, c.Line = a.place()
	}
	switch s.State {
	case Skipped:
		c.Skipped = &junitSkipped{s.Message()}
	case Missing:
		c.Error = &junitFailure{Message: s.Message(), Type: string(Missing)}
	case Flaky:
		c.Flakes = junitReruns(s.Attempts)
	case Failed:
		c.Failure = &junitFailure{Message: s.Message(), Type: string(Failed)}
		if all := junitReruns(s.Attempts); len(all) > 0 {
			c.Failure = &junitFailure{all[0].Message, all[0].Type, all[0].Text}
			c.SystemOut, c.Reruns = all[0].Output, all[1:]
		}
	case ExpectedFailure:
		c.Skipped = &junitSkipped{s.Expectation.known()}
		for _, a := range junitReruns(s.Attempts) {
			c.SystemOut += a.Text + "\n" + a.Output
		}
	case UnexpectedPass:
		c.Failure = &junitFailure{Message: s.Message(), Type: string(UnexpectedPass)}
	case Passed:
	}
	return c
}

// place is the file and the line of an attempt's failure.
func (a Attempt) place() (file, line string) {
	at := strings.LastIndexByte(a.Location, ':')
	if at < 0 {
		return a.Location, ""
	}
	return a.Location[:at], a.Location[at+1:]
}

// junitReruns are the attempts that did not pass.
func junitReruns(attempts []Attempt) []junitRerun {
	var all []junitRerun
	for _, a := range attempts {
		if a.State == "passed" {
			continue
		}
		message := Spec{State: Failed, Attempts: []Attempt{a}}.Message()
		all = append(all, junitRerun{
			Message: oneLine(message, 300),
			Type:    a.word(),
			Time:    seconds(a.Seconds),
			Text:    strings.TrimSpace(clip(message, junitOutput) + "\n" + a.Location),
			Output:  clip(plain(a.Output), junitOutput),
		})
	}
	return all
}

// word is ginkgo's state; "unfinished" where it never told one.
func (a Attempt) word() string {
	if a.State == "" {
		return "unfinished"
	}
	return a.State
}

var sigTag = regexp.MustCompile(`^\[(sig-[^\]]+)\]`)

// sig is the special interest group that a spec's name begins with, or "".
func sig(name string) string {
	if m := sigTag.FindStringSubmatch(name); m != nil {
		return m[1]
	}
	return ""
}

// className groups specs in CI's own views: by special interest group.
func className(suite, name string) string {
	if g := sig(name); g != "" {
		return suite + "." + g
	}
	return suite
}

func seconds(s float64) string { return strconv.FormatFloat(s, 'f', 3, 64) }
