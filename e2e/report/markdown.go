package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/kluster-project/kluster/internal/status"
)

// A GitHub step summary may have 1 MiB, and people read its first screen.
const (
	markdownSpecs   = 20
	markdownMessage = 2 << 10
)

// WriteMarkdown writes a short summary, as GitHub shows it beside a step: the
// verdict, then what did not pass with its message.
func (r *Report) WriteMarkdown(w io.Writer) error {
	s := r.Summarize()
	var b strings.Builder
	fmt.Fprintf(&b, "### %s e2e %s: %s\n\n", verdictMark[s.Verdict], inline(r.Suite), s.Headline())
	fmt.Fprintf(&b, "%s\n", strings.Join(r.facts(), " · "))
	for _, line := range r.remarks() {
		fmt.Fprintf(&b, "\n> %s\n", inline(line))
	}
	left := markdownSpecs
	for _, state := range []State{Failed, UnexpectedPass, Flaky, Missing, Skipped, ExpectedFailure} {
		left -= r.markdownSpecs(&b, state, left)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("writing summary: %w", err)
	}
	return nil
}

var verdictMark = map[Verdict]string{VerdictOK: "✅", VerdictFailed: "❌", VerdictFlaky: "⚠️", VerdictIncomplete: "⚠️"}

// facts are what a run was, a few words each.
func (r *Report) facts() []string {
	var facts []string
	if v := r.Versions(); len(v) > 0 {
		facts = append(facts, "Kubernetes "+strings.Join(v, ", "))
	}
	nodes := 0
	for _, c := range r.Clusters {
		nodes += len(c.Nodes)
	}
	if nodes > 0 {
		facts = append(facts, plural(len(r.Clusters), "cluster", "clusters"), plural(nodes, "node", "nodes"))
	}
	return append(facts,
		plural(r.Procs, "process", "processes"),
		fmt.Sprintf("seed %d", r.Seed),
		r.Started.UTC().Format(time.DateTime)+" UTC",
		status.Short(r.Wall()))
}

// markdownSpecs writes the specs of a state, at most a number of them, and says
// how many those were.
func (r *Report) markdownSpecs(b *strings.Builder, state State, most int) int {
	specs := r.InState(state)
	if len(specs) == 0 {
		return 0
	}
	fmt.Fprintf(b, "\n#### %d %s\n\n", len(specs), state.Words())
	for i, s := range specs {
		if i >= most {
			fmt.Fprintf(b, "- and %d more\n", len(specs)-i)
			return i
		}
		fmt.Fprintf(b, "- %s", inline(s.Name))
		if len(s.Attempts) > 0 {
			fmt.Fprintf(b, " (%s)", shortSeconds(s.Seconds()))
		}
		b.WriteString("\n")
		message := clip(strings.TrimSpace(s.Message()), markdownMessage)
		fence := fenceFor(message)
		fmt.Fprintf(b, "%s", indent(fence+"text\n"+message+"\n"+fence, "  "))
	}
	return len(specs)
}

// fenceFor is a fence that the text itself does not hold.
func fenceFor(text string) string {
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence
}

var inlineEscapes = strings.NewReplacer(
	`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "<", "&lt;", ">", "&gt;", "#", `\#`, "|", `\|`, "~", `\~`, "@", "&#64;", "\n", " ")

// inline is text in which Markdown finds nothing to do.
func inline(text string) string { return inlineEscapes.Replace(plain(text)) }
