package fault

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/suggest"
)

// Spec is a fault that is asked for.
type Spec struct {
	Kind Kind
	// Nodes are the machines that are hit, by name.
	Nodes []string
	// For is how long it lasts; 0 is the kind's own default.
	For time.Duration
	// Params are the kind's parameters; those left out have their defaults.
	Params map[string]string
}

// Complete fills in what was left out, and says everything that is wrong at once:
// exit code 2.
func (s Spec) Complete() (Spec, error) {
	info, err := Get(s.Kind)
	if err != nil {
		return s, bad(err)
	}
	s.Params = maps.Clone(s.Params)
	if s.Params == nil {
		s.Params = map[string]string{}
	}
	if s.For == 0 && !info.Once {
		s.For = DefaultFor
	}
	return s, bad(errors.Join(s.checkNodes(), s.checkFor(info), s.completeParams(info)))
}

func bad(err error) error { return failure.With(err, failure.Exit(failure.CodeUsage)) }

func (s Spec) checkNodes() error {
	if len(s.Nodes) == 0 {
		return fmt.Errorf("fault %s: name at least one node", s.Kind)
	}
	var errs []error
	for i, name := range s.Nodes {
		if err := checkName(name); err != nil {
			errs = append(errs, err)
		}
		if slices.Contains(s.Nodes[:i], name) {
			errs = append(errs, fmt.Errorf("node %q is named twice", name))
		}
	}
	return errors.Join(errs...)
}

func (s Spec) checkFor(info Info) error {
	switch {
	case s.For == 0 && info.Once:
		return nil
	case s.For < info.AtLeast() || s.For > Longest:
		return fmt.Errorf("fault %s lasts from %v to %v, not %v", s.Kind, info.AtLeast(), Longest, s.For)
	}
	return nil
}

// completeParams puts defaults into s.Params.
func (s Spec) completeParams(info Info) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(s.Params)) {
		if _, ok := info.param(name); !ok {
			errs = append(errs, fmt.Errorf("fault %s has no parameter %q%s", s.Kind, name, info.didYouMean(name)))
		}
	}
	for _, p := range info.Params {
		value, given := s.Params[p.Name]
		switch {
		case !given && p.Needed:
			errs = append(errs, fmt.Errorf("fault %s needs %s: %s", s.Kind, p.Name, strings.Join(p.Words, ", ")))
		case !given && p.Default != "":
			s.Params[p.Name] = p.Default
		case given:
			if err := p.check(value); err != nil {
				errs = append(errs, fmt.Errorf("%s %q: %w", p.Name, value, err))
			}
		}
	}
	return errors.Join(errs...)
}

func (i Info) didYouMean(name string) string {
	var known []string
	for _, p := range i.Params {
		known = append(known, p.Name)
	}
	if near := suggest.Nearest(name, known); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return ""
}

func (p Param) check(value string) error {
	if p.Words != nil && !slices.Contains(p.Words, value) {
		return fmt.Errorf("must be one of: %s", strings.Join(p.Words, ", "))
	}
	if p.Check != nil {
		return p.Check(value)
	}
	return nil
}

// nodeName is what a machine can be called. A name goes into packet rules and command
// lines only after it was found among the cluster's; this is so that nonsense is told early.
var nodeName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`)

func checkName(name string) error {
	if !nodeName.MatchString(name) {
		return fmt.Errorf("%q is no name of a node", name)
	}
	return nil
}

// Names are those of a list with commas.
func Names(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

func checkNames(list string) error {
	var errs []error
	for _, name := range Names(list) {
		errs = append(errs, checkName(name))
	}
	return errors.Join(errs...)
}

// mostCPUs is far above what any machine has.
const mostCPUs = 4096

func checkCount(value string) error {
	if n, err := strconv.Atoi(value); err != nil || n < 1 || n > mostCPUs {
		return errors.New("must be a whole number of 1 and more")
	}
	return nil
}

func checkSize(value string) error {
	_, err := Size(value)
	return err
}

// Size reads a number of bytes as Kubernetes writes it: "512Mi".
func Size(value string) (int64, error) {
	q, err := resource.ParseQuantity(value)
	if err != nil || q.Sign() <= 0 {
		return 0, errors.New(`must be a number of bytes more than 0, like "512Mi"`)
	}
	return q.Value(), nil
}
