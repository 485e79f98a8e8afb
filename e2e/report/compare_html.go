package report

import (
	"io"
	"slices"
)

// comparePage is what the template of a comparison shows.
type comparePage struct {
	Title      string
	Comparison *Comparison
	Tallies    []compareTally
	Rows       []compareRow
}

type compareTally struct {
	Difference Difference
	Count      int
	Text       string
}

type compareRow struct {
	ID         int
	Rank       int
	Difference Difference
	SIG        string
	Full       string
	Name       []word
	Results    []Result
}

// differenceText says a difference in the page's words.
var differenceText = map[Difference]string{
	StateDiffers: "results differ", DiffersAsExpected: "differ as expected", Absent: "not in all", TimeDiffers: "durations differ", Same: "same",
}

// WriteHTML writes one self-contained page, as that of a report.
func (c *Comparison) WriteHTML(w io.Writer) error {
	p := &comparePage{Title: c.Headline(), Comparison: c}
	for _, d := range differences {
		if n := c.Count(d); n > 0 {
			p.Tallies = append(p.Tallies, compareTally{d, n, differenceText[d]})
		}
	}
	var specs []Spec
	for _, s := range c.Specs {
		specs = append(specs, Spec{Name: s.Name})
	}
	common := commonTags(specs)
	for i, s := range c.Specs {
		p.Rows = append(p.Rows, compareRow{i, slices.Index(differences, s.Difference), s.Difference, sig(s.Name), s.Name, words(s.Name, common), s.Results})
	}
	return writePage(w, "compare.html.tmpl", p)
}

// Text is the difference in the page's words.
func (r compareRow) Text() string { return differenceText[r.Difference] }
