package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/kluster-project/kluster/internal/status"
)

// textLines is how much of a failure's message the terminal shows.
const textLines = 6

// WriteText writes a summary for a terminal: what did not pass, with its
// message, then the verdict.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	for _, state := range []State{Failed, UnexpectedPass, Flaky, Skipped} {
		for _, s := range r.InState(state) {
			fmt.Fprintf(&b, "%s %s\n", mark[state], s.Name)
			message, more := firstLines(s.Message(), textLines)
			b.WriteString(indent(message, "    "))
			if more {
				b.WriteString("    ...\n")
			}
			if a := s.Failure(); a != nil && a.Evidence != "" {
				fmt.Fprintf(&b, "    evidence: %s\n", a.Evidence)
			}
		}
	}
	r.missingText(&b)
	for _, s := range r.InState(ExpectedFailure) {
		fmt.Fprintf(&b, "%s %s\n    %s\n", mark[ExpectedFailure], s.Name, s.Expectation.known())
	}
	if b.Len() > 0 {
		b.WriteString("\n")
	}
	for _, line := range r.remarks() {
		fmt.Fprintf(&b, "%s\n", line)
	}
	s := r.Summarize()
	fmt.Fprintf(&b, "%s: %s in %s\n", s.Verdict, s.Headline(), status.Short(r.Wall()))
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("writing summary: %w", err)
	}
	return nil
}

// missingMost is how many specs that never ran are named one by one.
const missingMost = 10

// missingText names the specs that never ran, unless they are many.
func (r *Report) missingText(b *strings.Builder) {
	missing := r.InState(Missing)
	for i, s := range missing {
		if i == missingMost {
			fmt.Fprintf(b, "%s and %d more that never ran to their end\n", mark[Missing], len(missing)-i)
			return
		}
		fmt.Fprintf(b, "%s %s\n    %s\n", mark[Missing], s.Name, s.Message())
	}
}

// mark shows a state where there may be no colour.
var mark = map[State]string{Passed: "✓", Failed: "✗", Flaky: "~", Skipped: "-", Missing: "?", ExpectedFailure: "=", UnexpectedPass: "!"}

// remarks are what a reader must know beside the counts, a line each.
func (r *Report) remarks() []string {
	var lines []string
	if r.Interrupted != "" {
		lines = append(lines, "interrupted: "+plain(r.Interrupted))
	}
	if r.Resumed > 0 {
		lines = append(lines, fmt.Sprintf("taken up again %s after it was cut off", times(r.Resumed)))
	}
	for _, i := range r.Incidents {
		lines = append(lines, fmt.Sprintf("incident at %s: %s", i.Time.UTC().Format(time.TimeOnly), plain(i.Text)))
	}
	if r.Expectations != "" {
		lines = append(lines, "held against the known failures of "+plain(r.Expectations))
	}
	if n := len(r.StandIns()); n > 0 {
		lines = append(lines, fmt.Sprintf("%s not upstream's own: the report names them", plural(n, "part is", "parts are")))
	}
	return lines
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// indent puts a prefix before each line that is not empty, and ends the last.
func indent(text, prefix string) string {
	var b strings.Builder
	for line := range strings.SplitSeq(text, "\n") {
		if line != "" {
			b.WriteString(prefix + line)
		}
		b.WriteString("\n")
	}
	return b.String()
}
