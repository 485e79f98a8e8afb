package report

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/kluster-project/kluster/internal/status"
)

// page is what the template of a report shows.
type page struct {
	Title     string
	Report    *Report
	Summary   Summary
	Headline  string // without the counts, which the tallies show
	Facts     []string
	Tallies   []tally
	Notices   []string
	StandIns  []Part
	Incidents []pageIncident
	Cards     []card
	Timelines []timeline
	Rows      []row
	// Filter is what was asked to run, in words; "" if that was the whole suite.
	Filter string
}

// tally is a state with the number of specs in it.
type tally struct {
	State   State
	Count   int
	Percent float64
}

type pageIncident struct {
	Clock, Offset, Text string
}

// row is a spec in the table.
type row struct {
	ID      int
	State   State
	Rank    int // of the state: failures first
	SIG     string
	Full    string // the name as others write it, which is searched too
	Name    []word
	Seconds float64
	Share   float64 // percent of the longest spec
	Where   string  // cluster and process
	Start   float64 // seconds since the run began; -1 if it never ran
	Note    string
	Card    bool // there is a card with more
}

// word is a part of a spec's name: plain text, or a tag in brackets. Tags that
// all specs have say nothing and are left out.
type word struct {
	Text string
	Tag  bool
}

// card is a spec that did not simply pass, with all there is to know about it.
type card struct {
	ID       int
	State    State
	SIG      string
	Full     string
	Name     []word
	Seconds  float64
	Message  string // where no attempt has one
	Attempts []pageAttempt
}

type pageAttempt struct {
	Number, Of    int
	State         string
	Good          bool
	Seconds       float64
	Where         string
	Clock, Offset string
	Message       string
	Location      string
	Output        string
	OutputSize    string
	Evidence      *evidence
}

func newPage(r *Report, folder fs.FS) *page {
	sorted := *r
	sorted.Specs = slices.Clone(r.Specs)
	slices.SortStableFunc(sorted.Specs, func(a, b Spec) int { return strings.Compare(a.Name, b.Name) })
	r = &sorted
	s := r.Summarize()
	p := &page{
		Title:     fmt.Sprintf("%s: %s", r.Suite, s.Headline()),
		Report:    r,
		Summary:   s,
		Headline:  s.passed(),
		Facts:     r.facts(),
		StandIns:  r.StandIns(),
		Timelines: timelines(r),
		Filter:    oneLine(r.Filter.text(), 400),
	}
	p.notices()
	for _, state := range states {
		if n := s.Of(state); n > 0 {
			p.Tallies = append(p.Tallies, tally{state, n, 100 * float64(n) / float64(s.Planned)})
		}
	}
	for _, i := range r.Incidents {
		clock, offset := r.when(i.Time)
		p.Incidents = append(p.Incidents, pageIncident{clock, offset, plain(i.Text)})
	}
	p.specs(folder)
	return p
}

// notices are what must be known before the counts are believed.
func (p *page) notices() {
	add := func(format string, args ...any) { p.Notices = append(p.Notices, fmt.Sprintf(format, args...)) }
	if p.Report.Interrupted != "" {
		add("The run ended early: %s.", strings.TrimSuffix(plain(p.Report.Interrupted), "."))
	}
	if p.Summary.Missing > 0 {
		add("%s planned, but never ran to an end: nothing is known of the outcome.", plural(p.Summary.Missing, "spec was", "specs were"))
	}
	if p.Summary.Unproven > 0 {
		add("%s skipped or missing: that is no pass, and the cluster is not shown to conform.",
			plural(p.Summary.Unproven, "conformance spec was", "conformance specs were"))
	}
	if p.Summary.Flaky > 0 {
		add("%s failed, and passed when run again: not counted as passed.", plural(p.Summary.Flaky, "spec", "specs"))
	}
	if p.Summary.ExpectedFailures > 0 {
		add("%s as the list of known failures %s says: not counted as passed.", plural(p.Summary.ExpectedFailures, "spec failed", "specs failed"), plain(p.Report.Expectations))
	}
	if p.Summary.UnexpectedPasses > 0 {
		add("%s though the list of known failures %s says otherwise: take them off it.", plural(p.Summary.UnexpectedPasses, "spec passed", "specs passed"), plain(p.Report.Expectations))
	}
	if p.Report.Resumed > 0 {
		add("The run was taken up again %s after it was cut off.", times(p.Report.Resumed))
	}
}

// specs fills the table and the cards: the worst states first, then by name.
func (p *page) specs(folder fs.FS) {
	longest := 0.0
	for _, s := range p.Report.Specs {
		longest = max(longest, s.Seconds())
	}
	common := commonTags(p.Report.Specs)
	budget := int64(pageBudget)
	for rank, state := range states {
		for id, s := range p.Report.Specs {
			if s.State != state {
				continue
			}
			r := p.row(id, s, longest, common)
			r.Rank = rank
			if state == Failed || state == UnexpectedPass || state == Flaky || state == ExpectedFailure || state == Missing && len(s.Attempts) > 0 {
				r.Card = true
				p.Cards = append(p.Cards, p.card(r, s, folder, &budget))
			}
			p.Rows = append(p.Rows, r)
		}
	}
}

func (p *page) row(id int, s Spec, longest float64, common []string) row {
	r := row{ID: id, State: s.State, SIG: sig(s.Name), Full: s.Name, Name: words(s.Name, common), Seconds: s.Seconds(), Start: -1}
	if longest > 0 {
		r.Share = 100 * r.Seconds / longest
	}
	if n := len(s.Attempts); n > 0 {
		last := s.Attempts[n-1]
		r.Where = p.Report.where(last)
		if !last.Started.IsZero() {
			r.Start = max(0, last.Started.Sub(p.Report.Started).Seconds())
		}
	}
	if s.State != Passed {
		r.Note = oneLine(s.Message(), 200)
	}
	return r
}

func (p *page) card(r row, s Spec, folder fs.FS, budget *int64) card {
	c := card{ID: r.ID, State: s.State, SIG: r.SIG, Full: s.Name, Name: r.Name, Seconds: r.Seconds}
	for i, a := range s.Attempts {
		clock, offset := p.Report.when(a.Started)
		output := plain(a.Output)
		c.Attempts = append(c.Attempts, pageAttempt{
			Number: i + 1, Of: len(s.Attempts),
			State: a.word(), Good: a.State == "passed",
			Seconds: a.Seconds, Where: p.Report.where(a), Clock: clock, Offset: offset,
			Message:    spend(message(s.Attempts, i), pageMessage, budget),
			Location:   a.Location,
			Output:     spend(output, pageOutput, budget),
			OutputSize: size(int64(len(output))),
			Evidence:   readEvidence(folder, a.Evidence, budget),
		})
	}
	switch f := s.Failure(); {
	case s.State == ExpectedFailure:
		c.Message = s.Expectation.known()
	case f == nil || f.Message == "":
		c.Message = s.Message()
	}
	return c
}

// message is that of an attempt, in short if it is the last one's again.
func message(attempts []Attempt, i int) string {
	text := attempts[i].Message
	if i > 0 && text != "" && text == attempts[i-1].Message {
		return "the same message again"
	}
	return strings.TrimSpace(plain(text))
}

// spend clips a text to most bytes and takes them from the page's budget.
func spend(text string, most int, budget *int64) string {
	if len(text) == 0 {
		return ""
	}
	if *budget <= 0 {
		return "left out, the page would be too large: see " + FileName
	}
	text = clip(text, most)
	*budget -= int64(len(text))
	return text
}

// where is the process that an attempt ran in, and its cluster if there are
// several.
func (r *Report) where(a Attempt) string {
	if len(r.Clusters) > 1 {
		return fmt.Sprintf("%s #%d", a.Cluster, a.Proc)
	}
	return fmt.Sprintf("#%d", a.Proc)
}

// when is a time of day, and how long after the run's begin that was.
func (r *Report) when(t time.Time) (clock, offset string) {
	if t.IsZero() {
		return "", ""
	}
	return t.UTC().Format(time.TimeOnly), "+" + status.Short(t.Sub(r.Started))
}

var nameTags = regexp.MustCompile(`\[[^\[\]\s][^\[\]]*\]`)

// commonTags are those that the names of all specs have, if there are several.
func commonTags(specs []Spec) []string {
	if len(specs) < 2 {
		return nil
	}
	common := nameTags.FindAllString(specs[0].Name, -1)
	for _, s := range specs[1:] {
		tags := nameTags.FindAllString(s.Name, -1)
		common = slices.DeleteFunc(common, func(t string) bool { return !slices.Contains(tags, t) })
	}
	return common
}

// words splits a spec's name at its tags. It leaves out the special interest
// group, which has a column of its own, and tags that all specs have.
func words(name string, common []string) []word {
	name = plain(name)
	if g := sig(name); g != "" {
		name = strings.TrimSpace(strings.TrimPrefix(name, "["+g+"]"))
	}
	var all []word
	add := func(text string, tag bool) {
		if text = strings.TrimSpace(text); text != "" {
			all = append(all, word{text, tag})
		}
	}
	at := 0
	for _, m := range nameTags.FindAllStringIndex(name, -1) {
		add(name[at:m[0]], false)
		if !slices.Contains(common, name[m[0]:m[1]]) {
			add(name[m[0]+1:m[1]-1], true)
		}
		at = m[1]
	}
	add(name[at:], false)
	return all
}

// text is the filter in words.
func (f Filter) text() string {
	var parts []string
	if f.Labels != "" {
		parts = append(parts, "labels "+f.Labels)
	}
	if len(f.Focus) > 0 {
		parts = append(parts, "focus "+strings.Join(f.Focus, " or "))
	}
	if len(f.Skip) > 0 {
		parts = append(parts, "skip "+strings.Join(f.Skip, " or "))
	}
	return strings.Join(parts, ", ")
}
