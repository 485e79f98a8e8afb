package trace

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// summaryLines is the most that Summary prints: one screen.
	summaryLines = 25
	summaryWidth = 110
)

// row is a line of the summary before it is known which ones fit.
type row struct {
	depth  int
	link   link
	parent int // index of the row that it explains, -1 for none
}

// Summary is the chain that the end waited for, in at most 25 lines: what
// began when (in seconds after the beginning), how long it took, and, indented,
// what that waited for in turn. Short ones are left out first.
func (r *Recorder) Summary() string {
	if r == nil {
		return ""
	}
	began, ended := r.Window()
	all := r.Spans()
	links := chain(steps(all), began, ended)
	explain(links, all, chainDepth)
	list := flatten(nil, links, 0, -1)
	keep := longest(list, summaryLines-2)
	var b strings.Builder
	fmt.Fprintf(&b, "What the end waited for, %.2fs in all. From, for, CPU busy; indented: what that waited for itself\n", ended.Sub(began).Seconds())
	cpu := r.cpu()
	for i, l := range list {
		if !keep[i] {
			continue
		}
		s := l.link.span
		text := fmt.Sprintf("%7.2fs %6.2fs %4s  %s%s", s.Start.Sub(began).Seconds(), s.Duration().Seconds(),
			percent(usage(cpu, s.Start, s.End)), strings.Repeat("  ", l.depth), describe(list, l))
		b.WriteString(cut(text, summaryWidth) + "\n")
	}
	if left := len(list) - len(keep); left > 0 {
		fmt.Fprintf(&b, "and %d shorter ones\n", left)
	}
	return b.String()
}

func steps(all []Span) []Span {
	return slices.DeleteFunc(slices.Clone(all), func(s Span) bool { return s.Kind != Step })
}

func flatten(rows []row, links []link, depth, parent int) []row {
	for _, l := range links {
		at := len(rows)
		rows = append(rows, row{depth, l, parent})
		rows = flatten(rows, l.parts, depth+1, at)
	}
	return rows
}

// longest are the n longest rows, by index; none without the one it explains.
func longest(rows []row, n int) map[int]bool {
	order := make([]int, len(rows))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(rows[b].link.span.Duration(), rows[a].link.span.Duration()), cmp.Compare(rows[a].depth, rows[b].depth))
	})
	keep := map[int]bool{}
	for _, i := range order {
		if rows[i].link.span.Duration() < time.Millisecond {
			continue
		}
		need := lineage(rows, i, keep)
		if len(keep)+len(need) > n {
			break
		}
		for _, k := range need {
			keep[k] = true
		}
	}
	return keep
}

// lineage is a row and what it explains, as far as that is not kept yet.
func lineage(rows []row, i int, keep map[int]bool) []int {
	var need []int
	for ; i >= 0 && !keep[i]; i = rows[i].parent {
		need = append(need, i)
	}
	return need
}

func percent(share float64, known bool) string {
	if !known {
		return "-"
	}
	return fmt.Sprintf("%.0f%%", 100*share)
}

// label says what a span is and where.
func label(s Span) string {
	switch {
	case s.Kind == Step:
		return s.Name
	case s.Track == Host:
		return s.Lane + ": " + s.Name
	case s.Track == Cluster:
		return s.Name
	default:
		return s.Track + ": " + s.Lane + ": " + s.Name
	}
}

// describe leaves out the node that the row above is about already.
func describe(rows []row, r row) string {
	text := r.link.span.Name
	if !r.link.gap {
		text = label(r.link.span)
	}
	if r.parent >= 0 {
		about := rows[r.parent].link.span.Track
		if about == Host {
			about = nodeOf(rows[r.parent].link.span.Lane)
		}
		text = strings.TrimPrefix(strings.TrimPrefix(text, about+": "), about+" ")
	}
	if r.link.gap {
		return "? until " + text
	}
	return text
}

// nodeOf is the node that a lane of the host is about: its first word.
func nodeOf(lane string) string {
	node, _, _ := strings.Cut(lane, " ")
	return node
}

// cut shortens text to width columns.
func cut(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:width-1]) + "…"
}
