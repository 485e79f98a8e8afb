package plan

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/suggest"
)

// Check says whether the specs that a program would run by a filter (made by
// Filter) are those that the suite promises. list is Kubernetes' conformance list
// of the suite's version, nil for a suite of packages.
func (s Suite) Check(f report.Filter, planned []string, list []Conformance) error {
	if len(planned) == 0 && len(s.Specs) > 0 {
		f = report.Filter{Labels: f.Labels} // the focus is the suite's own
	}
	if len(planned) == 0 {
		return s.noSpec(f, Names(list))
	}
	difference := Compare(planned, Names(list))
	if s.Complete && len(difference.Extra) > 0 {
		return s.broken("%s not in Kubernetes' conformance list: %s", are(difference.Extra), some(difference.Extra))
	}
	// Labels are not in the list, so nobody can tell what a user's leave.
	if f.Labels != s.Labels {
		return nil
	}
	if missing := Compare(planned, s.promised(f, list)).Missing; len(missing) > 0 {
		return s.broken("%s not in its program: %s", are(missing), some(missing))
	}
	return nil
}

// promised are the specs that a run by this filter must have.
func (s Suite) promised(f report.Filter, list []Conformance) []string {
	switch {
	case len(s.Specs) > 0:
		return matching(s.Specs, f)
	case s.Complete:
		return matching(Names(list), f)
	}
	return nil
}

func (s Suite) broken(format string, args ...any) error {
	return failure.New(fmt.Sprintf("suite %s is not what its run would be: "+format, append([]any{s.Name}, args...)...),
		failure.Hint("the programs and the list are of different versions, or were changed: build the suite's parts again"))
}

func are(specs []string) string {
	if len(specs) == 1 {
		return "1 spec is"
	}
	return fmt.Sprintf("%d specs are", len(specs))
}

// some names the first few.
func some(specs []string) string {
	const most = 5
	if len(specs) <= most {
		return strings.Join(specs, "; ")
	}
	return fmt.Sprintf("%s; and %d more", strings.Join(specs[:most], "; "), len(specs)-most)
}

// noSpec is a filter that leaves nothing of a suite, of which some names are known.
func (s Suite) noSpec(f report.Filter, known []string) error {
	var filters []string
	if f.Labels != "" {
		filters = append(filters, fmt.Sprintf("label filter %q", f.Labels))
	}
	if len(f.Focus) > 0 {
		filters = append(filters, "--focus "+strings.Join(quote(f.Focus), ", "))
	}
	if len(f.Skip) > 0 {
		filters = append(filters, "--skip "+strings.Join(quote(f.Skip), ", "))
	}
	what := "suite " + s.Name + " has no spec"
	if len(filters) > 0 {
		what = "no spec of suite " + s.Name + " fits " + strings.Join(filters, " with ")
	}
	if meant := meantWords(f.Focus, known); len(meant) > 0 {
		what += fmt.Sprintf(" (did you mean %s?)", strings.Join(quote(meant), ", "))
	}
	return failure.New(what, failure.Exit(failure.CodeUsage),
		failure.Hint("--dry-run without --focus, --skip and --label-filter lists the suite's specs"))
}

func quote(texts []string) []string {
	var out []string
	for _, text := range texts {
		out = append(out, fmt.Sprintf("%q", text))
	}
	return out
}

var word = regexp.MustCompile(`[A-Za-z][A-Za-z0-9-]{2,}`)

// meantWords are words of names near to those of a focus that no name holds.
func meantWords(focus, known []string) []string {
	all := strings.Join(known, "\n")
	words := word.FindAllString(all, -1)
	var out []string
	for _, f := range focus {
		for _, written := range word.FindAllString(f, -1) {
			if strings.Contains(all, written) {
				continue
			}
			if near := suggest.Nearest(written, words); near != "" && !slices.Contains(out, near) {
				out = append(out, near)
			}
		}
	}
	return out
}
