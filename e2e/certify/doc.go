// Package certify makes of a conformance run what the Certified Kubernetes
// program asks for: a folder of exactly four files. It refuses a run that would
// not be accepted, or should not be, and looks at the files as the program's own
// bot does (kubernetes-sigs/verify-conformance).
package certify

import (
	"fmt"
	"strings"
)

// The files of a bundle.
const (
	ReadmeFile  = "README.md"
	ProductFile = "PRODUCT.yaml"
	LogFile     = "e2e.log"
	JUnitFile   = "junit_01.xml"
)

// files are all that a bundle may hold.
var files = []string{ReadmeFile, ProductFile, LogFile, JUnitFile}

// Refusal is why there is no bundle, every reason at once.
type Refusal struct{ Reasons []string }

func (r *Refusal) Error() string {
	if len(r.Reasons) == 1 {
		return "no certification bundle: " + r.Reasons[0]
	}
	return fmt.Sprintf("no certification bundle, for %d reasons:\n- %s", len(r.Reasons), strings.Join(r.Reasons, "\n- "))
}

// reasons collects why something is refused.
type reasons []string

func (r *reasons) add(format string, args ...any) { *r = append(*r, fmt.Sprintf(format, args...)) }

func (r reasons) err() error {
	if len(r) == 0 {
		return nil
	}
	return &Refusal{r}
}

// namesMost is how many specs a reason names.
const namesMost = 5

// specs are how many there are, and the names of the first.
func specs(names []string) string {
	count, more := fmt.Sprintf("%d specs", len(names)), ""
	if len(names) == 1 {
		count = "1 spec"
	}
	if len(names) > namesMost {
		names, more = names[:namesMost], " ..."
	}
	return fmt.Sprintf("%s (%s%s)", count, strings.Join(names, "; "), more)
}
