// Package expect knows which specs fail on a container runtime and why, so that a
// run can tell a failure that is known from one that is new, and a spec that was
// repaired from one that still fails. It changes what a report says of a run, never
// what runs, and has no place in a certification.
package expect

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/kluster-project/kluster/internal/cri"
)

// List is a file of known failures: those of one container runtime with one minor
// version of Kubernetes.
type List struct {
	// Suite is the suite whose specs they are, if it is SuiteCRI; "" for all suites of
	// Kubernetes' own specs.
	Suite      string    `yaml:"suite"`
	Runtime    string    `yaml:"runtime"`    // "cri-dockerd"
	Kubernetes string    `yaml:"kubernetes"` // "v1.36"
	Failures   []Failure `yaml:"failures"`
	// Source says where the list is from, for people.
	Source string `yaml:"-"`
	// chosen: a user gave it, so it must be of use.
	chosen bool
}

// Failure is a spec that is known to fail.
type Failure struct {
	Spec   string `yaml:"spec"`   // its full name
	Reason string `yaml:"reason"` // why, in a sentence
	Issue  string `yaml:"issue"`  // the URL of upstream's issue
}

// SuiteCRI is the suite of cri-tools' specs, which are in another program than
// Kubernetes' own.
const SuiteCRI = "cri"

var minorVersion = regexp.MustCompile(`^v[0-9]+\.[0-9]+$`)

// Parse decodes and checks a file; source names it in errors. All problems of what
// was decoded come at once.
func Parse(source string, data []byte) (*List, error) {
	l := &List{Source: source}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	err := dec.Decode(l)
	switch {
	case errors.Is(err, io.EOF):
		return nil, fmt.Errorf("expectations %s: the file is empty", source)
	case err != nil:
		return nil, fmt.Errorf("expectations %s: %w", source, plain(err))
	}
	if err := dec.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("expectations %s: a file holds one document, and here is more", source)
	}
	if err := l.validate(); err != nil {
		return nil, fmt.Errorf("expectations %s: %w", source, err)
	}
	return l, nil
}

// goType is how the decoder ends what it says of a field.
var goType = regexp.MustCompile(` in type expect\.\w+`)

// plain is what the decoder says without the names of Go types.
func plain(err error) error {
	wrong, ok := errors.AsType[*yaml.TypeError](err)
	if !ok {
		return err
	}
	return errors.New(goType.ReplaceAllString(strings.Join(wrong.Errors, "; "), ""))
}

func (l *List) validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if l.Runtime == "" {
		wrong("runtime is missing: the container runtime that the specs fail on")
	} else if _, err := cri.Get(l.Runtime); err != nil {
		errs = append(errs, err)
	}
	if l.Suite != "" && l.Suite != SuiteCRI {
		wrong("suite: %q is not %s; leave it out for Kubernetes' own specs", l.Suite, SuiteCRI)
	}
	if !minorVersion.MatchString(l.Kubernetes) {
		wrong("kubernetes: %q is no minor version like v1.36", l.Kubernetes)
	}
	seen := map[string]bool{}
	for i, f := range l.Failures {
		name := fmt.Sprintf("%q", f.Spec)
		if strings.TrimSpace(f.Spec) == "" {
			name = fmt.Sprintf("failures[%d]", i)
			wrong("%s has no spec", name)
		} else if seen[f.Spec] {
			wrong("%s is there twice", name)
		}
		seen[f.Spec] = true
		if strings.TrimSpace(f.Reason) == "" {
			wrong("%s has no reason", name)
		}
		if u, err := url.Parse(f.Issue); err != nil || u.Scheme != "https" || u.Host == "" {
			wrong("%s: issue %q is not the https:// address of an issue", name, f.Issue)
		}
	}
	return errors.Join(errs...)
}

// fits says whether the list is of a runtime and of a version's minor version.
func (l *List) fits(runtime, minor string) bool { return l.Runtime == runtime && l.Kubernetes == minor }

// of says in words what the list is of.
func (l *List) of() string {
	if l.Suite != "" {
		return "suite " + l.Suite + " on " + l.Runtime + " with Kubernetes " + l.Kubernetes
	}
	return l.Runtime + " with Kubernetes " + l.Kubernetes
}

// fileName is the name of the list as one of kluster's own.
func (l *List) fileName() string {
	name := l.Runtime + "-" + l.Kubernetes + ".yaml"
	if l.Suite != "" {
		name = l.Suite + "-" + name
	}
	return name
}
