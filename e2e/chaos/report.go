package chaos

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kluster-project/kluster/internal/cri"
)

// Report is a run of the suite, or several of parts of it.
type Report struct {
	Machine string `json:"machine"`
	Rows    []Row  `json:"rows"`
}

// Read reads a report's JSON; a file that is not there is an empty one.
func Read(path string) (Report, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Report{}, nil
	}
	if err != nil {
		return Report{}, err
	}
	var r Report
	if err := json.Unmarshal(text, &r); err != nil {
		return Report{}, fmt.Errorf("reading %s: %w", path, err)
	}
	return r, nil
}

// Put takes in a row: in place of the one of its name and runtime, or as the last.
func (r *Report) Put(row Row) {
	at := slices.IndexFunc(r.Rows, func(o Row) bool { return o.Name == row.Name && o.Runtime == row.Runtime })
	if at < 0 {
		r.Rows = append(r.Rows, row)
		return
	}
	r.Rows[at] = row
}

// Sort puts rows into the order of a list of names; others keep theirs, at the end.
func (r *Report) Sort(names []string) {
	rank := func(row Row) int {
		if i := slices.Index(names, row.Name); i >= 0 {
			return i
		}
		return len(names)
	}
	slices.SortStableFunc(r.Rows, func(a, b Row) int { return rank(a) - rank(b) })
}

// Write writes BASE.json and BASE.md.
func (r Report) Write(base string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(base), 0o755); err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(base+".json", append(text, '\n'), 0o644),
		os.WriteFile(base+".md", []byte(r.Markdown()), 0o644),
	)
}

// column is one of a table: its head and what a row has there.
type column struct {
	head string
	cell func(Row) string
}

// figures are the columns of the table of what was measured.
var figures = []column{
	{"fault", Row.title},
	{"first failure through the load balancer", func(r Row) string { return orNever(r.Detected) }},
	{"first node NotReady", func(r Row) string { return orNever(r.NotReady) }},
	{"longest gap before the fault", func(r Row) string { return r.Before.String() }},
	{"since: load balancer", func(r Row) string { return r.way(LoadBalancer).Gap.String() }},
	{"each control plane", Row.gaps},
	{"undone after", Row.lasted},
	{"then all Ready", func(r Row) string { return r.Ready.String() }},
	{"and all works", func(r Row) string { return r.Whole.String() }},
	{"leader changes", func(r Row) string { return fmt.Sprint(r.LeaderChanges) }},
	{"kluster node start", Row.started},
	{"pods of other nodes: answers, longest pause", Row.pods},
	{"neighbour's API: longest pause", func(r Row) string { return r.Neighbour.String() }},
	{"ops, failed, unknown", Row.ops},
}

// Markdown is the report for people: first whether each must is met, then the figures.
func (r Report) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", r.Machine)
	line(&b, "fault", "must", "measured", "")
	line(&b, "---", "---", "---", "---")
	for _, row := range r.Rows {
		title := row.title()
		for _, budget := range row.Budgets {
			line(&b, title, budget.Must(), budget.Measured(), budget.Verdict())
			title = ""
		}
	}
	b.WriteString("\n")
	table(&b, figures, r.Rows)
	b.WriteString(r.remarks())
	return b.String()
}

// Unmet is the end of the report, for who has watched the suite: which budgets are unmet. A
// report without rows has none.
func (r Report) Unmet() string {
	all, unmet := 0, []string{}
	for _, row := range r.Rows {
		for _, budget := range row.Budgets {
			if all++; !budget.Met {
				unmet = append(unmet, fmt.Sprintf("  %s: %s, but it was %s\n", row.title(), budget.Must(), budget.Measured()))
			}
		}
	}
	switch {
	case all == 0:
		return ""
	case len(unmet) == 0:
		return fmt.Sprintf("All of %d budgets are met.\n", all)
	}
	return fmt.Sprintf("%d of %d budgets are unmet:\n%s", len(unmet), all, strings.Join(unmet, ""))
}

func table(b *strings.Builder, columns []column, rows []Row) {
	var heads, rules []string
	for _, c := range columns {
		heads, rules = append(heads, c.head), append(rules, "---")
	}
	line(b, heads...)
	line(b, rules...)
	for _, row := range rows {
		var cells []string
		for _, c := range columns {
			cells = append(cells, c.cell(row))
		}
		line(b, cells...)
	}
}

func line(b *strings.Builder, cells ...string) {
	fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
}

// remarks are what does not fit into tables: what was wrong, restarted or left, and said.
func (r Report) remarks() string {
	var b strings.Builder
	for _, row := range r.Rows {
		for _, remark := range []struct {
			what string
			list []string
		}{
			{"wrong", row.Wrong},
			{"restarted", row.Restarted},
			{"left behind", row.Left},
			{"outside", row.Outside},
			{"NotReady", row.NodesNotReady},
			{"said", slices.DeleteFunc([]string{row.Said}, func(s string) bool { return s == "" })},
		} {
			if len(remark.list) > 0 {
				fmt.Fprintf(&b, "- %s: %s: %s\n", row.title(), remark.what, strings.Join(remark.list, "; "))
			}
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return "\n" + b.String()
}

// title names the runtime too where it is not the one of clusters that ask for none.
func (r Row) title() string {
	if r.Runtime == "" || r.Runtime == cri.Default {
		return r.Name
	}
	return r.Name + " (" + r.Runtime + ")"
}

func (r Row) lasted() string {
	if r.Lasted == 0 {
		return "heals by itself"
	}
	return r.Lasted.String()
}

// gaps are those of the ways through the control planes.
func (r Row) gaps() string {
	var list []string
	for _, w := range r.Ways {
		if w.Name != LoadBalancer {
			list = append(list, number(float64(w.Gap)))
		}
	}
	return strings.Join(list, ", ") + " s"
}

func (r Row) ops() string {
	ops, failed, unknown := 0, 0, 0
	for _, w := range r.Ways {
		ops, failed, unknown = ops+w.Ops, failed+w.Failed, unknown+w.Unknown
	}
	return fmt.Sprintf("%d, %d, %d", ops, failed, unknown)
}

func (r Row) started() string {
	if r.Started == nil {
		return ""
	}
	return r.Started.String()
}

func (r Row) pods() string {
	var list []string
	for _, p := range r.Pods {
		list = append(list, fmt.Sprintf("%d, %s", p.Answers, p.Pause))
	}
	return strings.Join(list, "; ")
}

func orNever(s *Seconds) string {
	if s == nil {
		return "never"
	}
	return s.String()
}
