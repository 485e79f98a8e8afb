package bench

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Table writes the report as Markdown that also reads well as it is.
func (r *Report) Table() string {
	switch {
	case r.Settings.Load != nil:
		return r.loadTable()
	case r.Settings.Runtimes != nil:
		return r.runtimeTable()
	}
	var b strings.Builder
	for _, line := range r.origin() {
		fmt.Fprintf(&b, "- %s\n", line)
	}
	ratios, rest := [][]string{head("ratio")}, [][]string{head("seconds and bytes")}
	for _, f := range r.Figures {
		switch {
		case f.Kluster == nil && f.Name != floorName && (f.Kind == nil || f.KindRecorded):
			// Not measured in this run.
		case f.Unit == Ratio:
			ratios = append(ratios, f.cells())
		default:
			rest = append(rest, f.cells())
		}
	}
	for _, rows := range [][][]string{ratios, rest} {
		if len(rows) > 1 {
			b.WriteString("\n" + markdown(rows))
		}
	}
	r.writeFailures(&b)
	return b.String()
}

func (r *Report) writeFailures(b *strings.Builder) {
	if errs := r.failures(); len(errs) > 0 {
		b.WriteString("\nFailed:\n\n")
		for _, e := range errs {
			fmt.Fprintf(b, "- %s\n", e)
		}
	}
}

func head(what string) []string { return []string{what, "must", "aim", "kluster", "kind", "met"} }

// origin says where and how the figures were taken.
func (r *Report) origin() []string {
	v := r.Versions
	lines := append(r.where(), fmt.Sprintf("Kubernetes %s, kluster %s, image %s", v.Kubernetes, v.Kluster, v.Image))
	kind := r.KindNote
	if v.Kind != "" {
		kind = fmt.Sprintf("%s, image %s", v.Kind, v.KindImage)
		if r.KindNote != "" {
			kind += "; " + r.KindNote
		}
	}
	return append(lines, "kind: "+kind)
}

// where says when and on what machine the figures were taken.
func (r *Report) where() []string {
	m := r.Machine
	floor := ""
	if r.Settings.FloorOn != "" {
		floor = "; the floor's disk: " + r.Settings.FloorOn
	}
	return []string{
		fmt.Sprintf("%s, %d rounds, %s", r.Date.UTC().Format(time.DateOnly), r.Settings.Rounds, commitText(r.Commit)),
		fmt.Sprintf("%s, %d cores, %.0f GiB, kernel %s, %s", m.CPU, m.Cores, float64(m.MemoryBytes)/(1<<30), m.Kernel, m.OS),
		fmt.Sprintf("Docker Engine %s, %s, cgroup v%s%s", m.Engine, m.StorageDriver, m.CgroupVersion, floor),
		"load of the last minute before each measurement, the bench's own included: " + r.loads().text(Ratio),
	}
}

func (r *Report) loads() *Spread {
	var all []float64
	for _, f := range r.Floor {
		all = append(all, f.Load)
	}
	for _, s := range r.Samples {
		all = append(all, s.Load)
	}
	for _, s := range r.Runtimes {
		all = append(all, s.Load)
	}
	for _, s := range r.Loads {
		if s.Load > 0 {
			all = append(all, s.Load)
		}
	}
	return SpreadOf(all)
}

func commitText(commit string) string {
	if commit == "" {
		return "commit unknown"
	}
	return "commit " + commit
}

func (f Figure) cells() []string {
	sign := "≤"
	if f.AtLeast {
		sign = "≥"
	}
	kind := f.Kind.text(f.Unit)
	if f.KindRecorded {
		kind = strings.TrimSpace(kind + " recorded")
	}
	return []string{f.Name, f.Unit.bound(sign, f.Must), f.Unit.bound(sign, f.Aim), f.Kluster.text(f.Unit), kind, f.Met}
}

// text is the median with the spread behind it; of a record the range alone.
func (s *Spread) text(u Unit) string {
	if s == nil {
		return ""
	}
	by, suffix := u.scale(s.Median)
	switch {
	case s.N == 0 && s.Min == s.Max:
		return exact(s.Median/by) + suffix
	case s.N == 0:
		return exact(s.Min/by) + "-" + exact(s.Max/by) + suffix
	case s.N == 1:
		return rounded(s.Median/by) + suffix
	}
	return fmt.Sprintf("%s (%s-%s)%s", rounded(s.Median/by), rounded(s.Min/by), rounded(s.Max/by), suffix)
}

// scale says what a value is divided by to be written, and what then follows it.
func (u Unit) scale(v float64) (by float64, suffix string) {
	switch {
	case u == Bytes && v >= gigabyte/2:
		return gigabyte, " GB"
	case u == Bytes:
		return megabyte, " MB"
	case u == BytesPerSecond:
		return megabyte, " MB/s"
	case u == Seconds:
		return 1, " s"
	}
	return 1, ""
}

// bound writes a target.
func (u Unit) bound(sign string, v *float64) string {
	if v == nil {
		return ""
	}
	by, suffix := u.scale(*v)
	return sign + " " + exact(*v/by) + suffix
}

func exact(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }

// rounded keeps about three digits.
func rounded(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// markdown writes rows as a table, the first one its head, columns aligned.
func markdown(rows [][]string) string {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell), 3)
		}
	}
	var b strings.Builder
	line := func(cells []string, pad string) {
		for i, cell := range cells {
			b.WriteString("| " + cell + strings.Repeat(pad, width[i]-utf8.RuneCountInString(cell)) + " ")
		}
		b.WriteString("|\n")
	}
	line(rows[0], " ")
	line(make([]string, len(width)), "-")
	for _, row := range rows[1:] {
		line(row, " ")
	}
	return b.String()
}

// failures names every sample that did not get to its end.
func (r *Report) failures() []string {
	var all []string
	for _, f := range r.Floor {
		if f.Error != "" {
			all = append(all, fmt.Sprintf("round %d, floor: %s", f.Round, oneLine(f.Error)))
		}
	}
	for _, s := range r.Samples {
		if s.Error != "" {
			all = append(all, fmt.Sprintf("round %d, %s %s: %s", s.Round, s.Tool, s.Case, oneLine(s.Error)))
		}
	}
	for _, s := range r.Runtimes {
		if s.Error != "" {
			all = append(all, fmt.Sprintf("round %d, %s: %s", s.Round, s.Pair, oneLine(s.Error)))
		}
	}
	for _, s := range r.Loads {
		if s.Error != "" {
			all = append(all, fmt.Sprintf("round %d, %s %s: %s", s.Round, s.Runtime, s.Way, oneLine(s.Error)))
		}
	}
	return all
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
