package scenario

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/kluster-project/kluster/configs"
	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/fault"
	"github.com/kluster-project/kluster/internal/suggest"
)

// Defaults and bounds of times.
const (
	DefaultTimeout = 15 * time.Minute
	DefaultWait    = time.Minute
	longest        = 24 * time.Hour
)

const (
	// maxSteps and maxDepth are far above any real scenario's.
	maxSteps = 1000
	maxDepth = 8
)

// Named lists the scenarios that kluster brings along.
func Named() ([]*Scenario, error) {
	names, err := fs.Glob(configs.Scenarios(), "*.yaml")
	if err != nil {
		return nil, err
	}
	var all []*Scenario
	for _, name := range names {
		data, err := fs.ReadFile(configs.Scenarios(), name)
		if err != nil {
			return nil, err
		}
		s, err := Parse(name, data)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// Load reads the scenario of a file ("-" for stdin), or one of Named. The error is a
// *config.Invalid.
func Load(path string, stdin io.Reader) (*Scenario, error) {
	if data, err := fs.ReadFile(configs.Scenarios(), path+".yaml"); err == nil {
		return Parse(path+".yaml", data)
	}
	name, data, err := config.ReadFile(path, stdin)
	if err != nil {
		return nil, withNames(path, err)
	}
	return Parse(name, data)
}

// withNames tells of the scenarios that there are where a name may be meant.
func withNames(path string, err error) error {
	var invalid *config.Invalid
	if !errors.As(err, &invalid) || strings.ContainsAny(path, "./") {
		return err
	}
	files, globErr := fs.Glob(configs.Scenarios(), "*.yaml")
	if globErr != nil {
		return err
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(f, ".yaml")
	}
	for i := range invalid.Problems {
		invalid.Problems[i].Hint = "scenarios that kluster brings along: " + strings.Join(files, ", ")
		if near := suggest.Nearest(path, files); near != "" {
			invalid.Problems[i].Hint = fmt.Sprintf("did you mean %q?", near)
		}
	}
	return invalid
}

// Parse reads a scenario. name is the file's, for messages. The error is a
// *config.Invalid with every problem there is.
func Parse(name string, data []byte) (*Scenario, error) {
	return config.Form[Scenario]{
		Begin: "start with name: and steps:", Single: "one scenario has one document", Check: check,
	}.Parse(name, data)
}

// checker holds a scenario against the rules.
type checker struct {
	wrong func(field, hint, format string, args ...any)
	// names are those that faults of earlier steps give to nodes.
	names []string
	steps int
}

var nameForm = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)

func check(s *Scenario, wrong func(field, hint, format string, args ...any)) {
	c := &checker{wrong: wrong}
	if !nameForm.MatchString(s.Name) {
		wrong("name", "lower-case letters, digits and hyphens", "must be given, as a word")
	}
	if s.Needs.ControlPlanes < 0 || s.Needs.Workers < 0 {
		wrong("needs", "", "must be numbers from 0 on")
	}
	c.time("timeout", s.Timeout)
	if len(s.Steps) == 0 {
		wrong("steps", "", "there are none")
	}
	c.list("steps", s.Steps, 1)
}

func (c *checker) list(path string, steps []Step, depth int) {
	if depth > maxDepth {
		c.wrong(path, "", "steps lie deeper in each other than %d", maxDepth)
		return
	}
	for i := range steps {
		if c.steps++; c.steps > maxSteps {
			c.wrong(path, "", "there are more than %d steps", maxSteps)
			return
		}
		c.step(fmt.Sprintf("%s[%d]", path, i), &steps[i], depth)
	}
}

func (c *checker) step(path string, s *Step, depth int) {
	given := count(s.Fault != nil, s.Clear, s.Wait != nil, s.Check != nil, s.Parallel != nil)
	if given != 1 {
		c.wrong(path, "", "a step has one of fault, clear, wait, check and parallel, not %d", given)
	}
	if s.Fault != nil {
		c.fault(path+".fault", s.Fault)
	}
	if s.Wait != nil {
		c.wait(path+".wait", s.Wait)
	}
	if s.Check != nil {
		c.condition(path+".check.that", s.Check.That)
		c.time(path+".check.within", s.Check.Within)
		c.time(path+".check.during", s.Check.During)
	}
	if s.Parallel != nil {
		if len(s.Parallel) == 0 {
			c.wrong(path+".parallel", "", "there are no steps")
		}
		c.list(path+".parallel", s.Parallel, depth+1)
	}
}

func (c *checker) wait(path string, w *Wait) {
	if count(w.For != "", w.Until != nil) != 1 {
		c.wrong(path, "", "a wait has either for or until")
	}
	c.time(path+".for", w.For)
	c.time(path+".timeout", w.Timeout)
	if w.Until != nil {
		c.condition(path+".until", w.Until)
	}
}

func (c *checker) fault(path string, f *Fault) {
	info, err := fault.Get(fault.Kind(f.Kind))
	if err != nil {
		c.wrong(path+".kind", "", "%s", err)
		return
	}
	if len(f.Nodes) == 0 {
		c.wrong(path+".nodes", "", "name at least one node")
	}
	c.selectors(path+".nodes", f.Nodes)
	c.selectors(path+".from", f.From)
	if len(f.From) > 0 && !info.Between {
		c.wrong(path+".from", "", "fault %s has no other side", f.Kind)
	}
	if f.As != "" {
		if !nameForm.MatchString(f.As) {
			c.wrong(path+".as", "lower-case letters, digits and hyphens", "must be a word")
		}
		c.names = append(c.names, f.As)
	}
	spec, ok := c.spec(path, f)
	if !ok {
		return
	}
	spec.Nodes = []string{"node"} // they are found when the step begins
	if _, err := spec.Complete(); err != nil {
		for line := range strings.Lines(err.Error()) {
			c.wrong(path, "", "%s", strings.TrimSpace(line))
		}
	}
}

func (c *checker) spec(path string, f *Fault) (fault.Spec, bool) {
	spec := fault.Spec{Kind: fault.Kind(f.Kind), Params: f.Params}
	if _, ok := f.Params[fault.ParamFrom]; ok {
		c.wrong(path+".params["+fault.ParamFrom+"]", "give from: beside params:", "is a list of selectors")
		return spec, false
	}
	spec.For = duration(f.For)
	return spec, c.time(path+".for", f.For)
}

// conditions are the fields of a condition with what each names: machines that have an
// API, or nodes.
func (c *Condition) lists() []struct {
	field     string
	selectors []string
} {
	return []struct {
		field     string
		selectors []string
	}{
		{"ready", c.Ready}, {"notReady", c.NotReady}, {"answers", c.Answers}, {"silent", c.Silent}, {"writes", c.Writes}, {"refuses", c.Refuses},
	}
}

func (c *checker) condition(path string, cond *Condition) {
	if cond == nil {
		c.wrong(path, "", "must be given")
		return
	}
	given := count(cond.Pods != nil, cond.Undone, cond.Command != nil)
	for _, l := range cond.lists() {
		given += count(l.selectors != nil)
		if l.selectors != nil && len(l.selectors) == 0 {
			c.wrong(path+"."+l.field, "", "name at least one node")
		}
		c.selectors(path+"."+l.field, l.selectors)
	}
	if given != 1 {
		c.wrong(path, "", "a condition has one of ready, notReady, answers, silent, writes, refuses, pods, undone and command, not %d", given)
	}
	if cond.Pods != nil && cond.Pods.Namespace == "" {
		c.wrong(path+".pods.namespace", "", "must be given")
	}
	if cond.Command != nil && (len(cond.Command.Args) == 0 || cond.Command.Args[0] == "") {
		c.wrong(path+".command.args", "", "must be a program with its arguments")
	}
}

func (c *checker) selectors(path string, all []string) {
	for i, text := range all {
		name, isName := strings.CutPrefix(text, "$")
		switch {
		case isName && !slices.Contains(c.names, name):
			c.wrong(fmt.Sprintf("%s[%d]", path, i), suggest.Nearest(name, c.names), "no earlier fault has as: %s", name)
		case !isName && !selectorForm.MatchString(text):
			c.wrong(fmt.Sprintf("%s[%d]", path, i), selectorHelp, "%q selects no node", text)
		}
	}
}

// time sees that a text is a duration that can be meant.
func (c *checker) time(path, text string) bool {
	if text == "" {
		return true
	}
	if d, err := time.ParseDuration(text); err != nil || d <= 0 || d > longest {
		c.wrong(path, "", `must be a time like "20s" or "2m", of at most %v`, longest)
		return false
	}
	return true
}

// duration is that of a text that was checked; 0 for none.
func duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0
	}
	return d
}

func count(all ...bool) int {
	n := 0
	for _, is := range all {
		if is {
			n++
		}
	}
	return n
}
