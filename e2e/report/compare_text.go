package report

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// timeMost is how many specs that took longer the table shows.
const timeMost = 15

// WriteText writes a table for a terminal: the reports, the specs whose state
// differs, and those whose duration differs most.
func (c *Comparison) WriteText(w io.Writer) error {
	t := &table{}
	columns := c.columns()
	var head []string
	for _, col := range columns {
		head = append(head, col.head)
	}
	t.row(head...)
	for _, r := range c.Reports {
		var cells []string
		for _, col := range columns {
			cells = append(cells, col.of(r))
		}
		t.row(cells...)
	}
	for _, n := range c.NotRun {
		t.line(fmt.Sprintf("not run: %s: %s", n.Name, oneLine(plain(n.Reason), 500)))
	}
	for _, line := range c.Remarks {
		t.line("note: " + line)
	}
	c.textSpecs(t, StateDiffers, "Results differ:", len(c.Specs))
	c.textSpecs(t, DiffersAsExpected, "Results differ as expected:", len(c.Specs))
	c.textSpecs(t, TimeDiffers, "Durations differ:", timeMost)
	if n := c.Count(Absent); n > 0 {
		t.line("")
		t.line(plural(n, "spec is", "specs are") + " not in every report")
	}
	t.line("")
	t.line(c.Headline())
	return t.flush(w)
}

// column is one of the table of reports.
type column struct {
	head string
	of   func(Compared) string
}

// columns are those of the table; known failures have theirs where there are some.
func (c *Comparison) columns() []column {
	count := func(of func(Summary) int) func(Compared) string {
		return func(r Compared) string { return strconv.Itoa(of(r.Summary)) }
	}
	all := []column{
		{"REPORT", func(r Compared) string { return r.Name }},
		{"VERDICT", func(r Compared) string { return string(r.Summary.Verdict) }},
		{"PASSED", func(r Compared) string { return fmt.Sprintf("%d/%d", r.Summary.Passed, r.Summary.Planned) }},
		{"FAILED", count(func(s Summary) int { return s.Failed })},
	}
	if slices.ContainsFunc(c.Reports, func(r Compared) bool { return r.Summary.ExpectedFailures+r.Summary.UnexpectedPasses > 0 }) {
		all = append(all,
			column{"AS EXPECTED", count(func(s Summary) int { return s.ExpectedFailures })},
			column{"UNEXPECTED PASS", count(func(s Summary) int { return s.UnexpectedPasses })})
	}
	return append(all,
		column{"FLAKY", count(func(s Summary) int { return s.Flaky })},
		column{"OTHER", count(func(s Summary) int { return s.Skipped + s.Missing })},
		column{"WALL", func(r Compared) string { return shortSeconds(r.Summary.Seconds) }},
		column{"SPECS", func(r Compared) string { return shortSeconds(r.SpecSeconds) }},
		column{"RATIO", func(r Compared) string { return ratioText(r.Ratio) }})
}

func (c *Comparison) textSpecs(t *table, d Difference, title string, most int) {
	n := c.Count(d)
	if n == 0 {
		return
	}
	t.line("")
	t.line(title)
	var head []string
	for _, r := range c.Reports {
		head = append(head, r.Name)
	}
	t.row(append(head, "SPEC")...)
	for _, s := range c.Specs {
		if s.Difference != d {
			continue
		}
		if most == 0 {
			t.line(fmt.Sprintf("and %d more", n))
			return
		}
		most--
		n--
		var cells []string
		for i, r := range s.Results {
			cells = append(cells, r.text(i > 0))
		}
		t.row(append(cells, s.Name)...)
	}
}

// text is a result in a cell: "passed 12s x1.5".
func (r Result) text(ratio bool) string {
	if r.State == "" {
		return "absent"
	}
	text := r.State.Words() + " " + shortSeconds(r.Seconds)
	if ratio && r.Ratio > 0 {
		text += " " + ratioText(r.Ratio)
	}
	return text
}

func ratioText(ratio float64) string {
	if ratio == 0 {
		return "-"
	}
	return fmt.Sprintf("x%.2f", ratio)
}

// table aligns rows with each other up to the next line of text.
type table struct {
	out  strings.Builder
	rows [][]string
}

func (t *table) row(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) line(text string) {
	t.align()
	t.out.WriteString(text + "\n")
}

func (t *table) align() {
	w := tabwriter.NewWriter(&t.out, 0, 0, 2, ' ', 0)
	for _, cells := range t.rows {
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	w.Flush() // a strings.Builder takes everything
	t.rows = nil
}

func (t *table) flush(w io.Writer) error {
	t.align()
	if _, err := io.WriteString(w, t.out.String()); err != nil {
		return fmt.Errorf("writing comparison: %w", err)
	}
	return nil
}
