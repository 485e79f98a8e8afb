package plan

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/onsi/ginkgo/v2/types"

	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/internal/failure"
)

// Filter narrows a suite by a user's flags: what a run is asked to run.
func (s Suite) Filter(flags report.Filter) (report.Filter, error) {
	if err := checkFlags(flags); err != nil {
		return report.Filter{}, err
	}
	out := report.Filter{Labels: both(s.Labels, flags.Labels), Focus: flags.Focus, Skip: flags.Skip}
	if len(s.Specs) == 0 {
		return out, nil
	}
	// Several focuses are alternatives, so the user's are applied here.
	names := matching(s.Specs, flags)
	if len(names) == 0 {
		return report.Filter{}, s.noSpec(flags, s.Specs)
	}
	out.Focus, out.Skip = nil, nil
	for _, name := range names {
		out.Focus = append(out.Focus, regexp.QuoteMeta(name)+"$")
	}
	return out, nil
}

// WhyLeftOut is why a spec of the suite is not run, "" if it is.
func (s Suite) WhyLeftOut(spec string) string {
	for _, l := range s.LeftOut {
		if anyMatch([]string{l.Match}, spec) {
			return l.Reason
		}
	}
	return ""
}

// Runnable is a filter that leaves out what the suite does.
func (s Suite) Runnable(f report.Filter) report.Filter {
	f.Skip = slices.Clone(f.Skip)
	for _, l := range s.LeftOut {
		f.Skip = append(f.Skip, l.Match)
	}
	return f
}

func checkFlags(flags report.Filter) error {
	if _, err := types.ParseLabelFilter(flags.Labels); err != nil {
		return badFlag("--label-filter", flags.Labels, firstLine(err), "a filter looks like 'Conformance && !Serial', or 'Feature: isEmpty'")
	}
	return errors.Join(checkExpressions("--focus", flags.Focus), checkExpressions("--skip", flags.Skip))
}

func checkExpressions(flag string, expressions []string) error {
	for _, e := range expressions {
		if e == "" {
			return badFlag(flag, e, "it is empty", "leave it out, or give a part of a spec's name")
		}
		if _, err := regexp.Compile(e); err != nil {
			return badFlag(flag, e, err.Error(), `brackets of a spec's name are written \[Serial\]`)
		}
	}
	return nil
}

func badFlag(flag, value, why, hint string) error {
	return failure.New(fmt.Sprintf("%s %q: %s", flag, value, why), failure.Exit(failure.CodeUsage), failure.Hint("%s", hint))
}

// both is a label filter that holds where two do.
func both(a, b string) string {
	switch {
	case a == "":
		return b
	case b == "":
		return a
	}
	return "(" + a + ") && (" + b + ")"
}

// matching are the names that a filter's focus and skip leave, as ginkgo applies
// them. The expressions are known to be good.
func matching(names []string, f report.Filter) []string {
	var out []string
	for _, name := range names {
		if (len(f.Focus) == 0 || anyMatch(f.Focus, name)) && !anyMatch(f.Skip, name) {
			out = append(out, name)
		}
	}
	return out
}

func anyMatch(expressions []string, name string) bool {
	return slices.ContainsFunc(expressions, func(e string) bool {
		re, err := regexp.Compile(e)
		return err == nil && re.MatchString(name)
	})
}
