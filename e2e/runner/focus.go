package runner

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/kluster-project/kluster/e2e/report"
)

// Linux allows 128 KiB for one argument of a program and 2 MiB (a quarter of
// the usual stack) for all of them with the environment.
const (
	maxFocus = 100 << 10
	maxArgs  = 1536 << 10
)

// exactly is the filter that picks these specs and no other.
func (p Plan) exactly(names []string) (report.Filter, error) {
	var f report.Filter
	total := 0
	for rest := names; len(rest) > 0; {
		re := strings.Builder{}
		re.WriteString("^" + regexp.QuoteMeta(p.Description+" ") + "(?:")
		n := 0
		for ; n < len(rest); n++ {
			quoted := regexp.QuoteMeta(rest[n])
			if n > 0 && re.Len()+len(quoted) > maxFocus {
				break
			}
			if n > 0 {
				re.WriteByte('|')
			}
			re.WriteString(quoted)
		}
		re.WriteString(")$")
		f.Focus = append(f.Focus, re.String())
		total += re.Len()
		rest = rest[n:]
	}
	if total > maxArgs {
		return f, fmt.Errorf("%d specs are too many to name: %d KiB of arguments, and Linux allows %d", len(names), total>>10, maxArgs>>10)
	}
	return f, nil
}

// only is the part of the plan with these specs and those that must run with
// them.
func (p Plan) only(wanted func(Spec) bool) Plan {
	groups := map[string]bool{}
	for _, s := range p.Specs {
		if s.Group != "" && wanted(s) {
			groups[s.Group] = true
		}
	}
	part := Plan{Description: p.Description}
	for _, s := range p.Specs {
		if groups[s.Group] || wanted(s) {
			part.Specs = append(part.Specs, s)
		}
	}
	return part
}

// named is the part of the plan with specs of these names.
func (p Plan) named(names []string) Plan {
	return p.only(func(s Spec) bool { return slices.Contains(names, s.Name) })
}
