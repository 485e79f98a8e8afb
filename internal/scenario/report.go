package scenario

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/kluster-project/kluster/internal/failure"
)

// Report says what became of a scenario.
type Report struct {
	Scenario string        `json:"scenario"`
	Cluster  string        `json:"cluster"`
	Passed   bool          `json:"passed"`
	Seconds  float64       `json:"seconds"`
	Steps    []*StepReport `json:"steps"`
}

// State of a step.
type State string

// The states of a step: Skipped is one that a scenario did not come to.
const (
	Passed      State = "passed"
	Failed      State = "failed"
	Interrupted State = "interrupted"
	Skipped     State = "skipped"
)

// StepReport says what became of a step.
type StepReport struct {
	Name  string `json:"name"`
	State State  `json:"state"`
	// Nodes are those that a fault hit, and Fault is its ID.
	Nodes   []string      `json:"nodes,omitempty"`
	Fault   string        `json:"fault,omitempty"`
	Seconds float64       `json:"seconds"`
	Error   string        `json:"error,omitempty"`
	Steps   []*StepReport `json:"steps,omitempty"`
}

// planned is the report of steps that have not begun.
func planned(steps []Step) []*StepReport {
	var all []*StepReport
	for i := range steps {
		all = append(all, &StepReport{Name: steps[i].title(), State: Skipped, Steps: planned(steps[i].Parallel)})
	}
	return all
}

func (s *StepReport) end(began time.Time, err error) {
	s.State, s.Seconds = Passed, seconds(began)
	if err == nil {
		return
	}
	s.State, s.Error = Failed, strings.TrimPrefix(err.Error(), s.Name+": ")
	if errors.Is(err, failure.ErrInterrupted) || errors.Is(err, context.Canceled) {
		s.State = Interrupted
	}
}

// seconds since then, with two decimals.
func seconds(began time.Time) float64 {
	return math.Round(time.Since(began).Seconds()*100) / 100
}

// title is a step's name, or says what it does.
func (s *Step) title() string {
	switch {
	case s.Name != "":
		return s.Name
	case s.Fault != nil:
		return s.Fault.title()
	case s.Clear:
		return "undo all faults"
	case s.Wait != nil && s.Wait.Until == nil:
		return "wait for " + s.Wait.For
	case s.Wait != nil:
		return "wait until " + s.Wait.Until.title()
	case s.Check != nil:
		return "check that " + s.Check.That.title() + spent(" within ", s.Check.Within) + spent(" for ", s.Check.During)
	}
	return fmt.Sprintf("%d steps at the same time", len(s.Parallel))
}

func (f *Fault) title() string {
	return f.Kind + " " + strings.Join(f.Nodes, ", ") + spent(" for ", f.For)
}

func spent(word, text string) string {
	if text == "" {
		return ""
	}
	return word + text
}

func (c *Condition) title() string {
	switch {
	case c.Pods != nil:
		return strings.TrimSpace("pods of "+c.Pods.Namespace+" "+c.Pods.Selector) + " are Ready"
	case c.Undone:
		return "all faults are undone"
	case c.Command != nil:
		return fmt.Sprintf("%s ends with code %d", c.Command.Args[0], c.Command.ExitCode)
	}
	words := map[string]string{
		"ready": "%s is Ready", "notReady": "%s is not Ready",
		"answers": "the API answers by way of %s", "silent": "the API does not answer by way of %s",
		"writes": "writes are acknowledged by way of %s", "refuses": "writes are refused by way of %s",
	}
	for _, l := range c.lists() {
		if l.selectors != nil {
			return fmt.Sprintf(words[l.field], strings.Join(l.selectors, ", "))
		}
	}
	return "nothing"
}

// estimate is how long a step lasts, where that is known.
func (s *Step) estimate() string {
	if s.Wait != nil {
		return s.Wait.For
	}
	if s.Check != nil {
		return s.Check.During
	}
	return ""
}
