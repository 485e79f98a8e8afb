package evidence

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kluster-project/kluster/internal/shell"
)

// clock is how times are written, in UTC as the nodes' journals.
const clock = "2006-01-02 15:04:05.000"

// summary says what the folder is about, and what it lacks.
func (s *scene) summary() string {
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-11s %s\n", name+":", value)
		}
	}
	line("spec", oneLine(s.event.Spec))
	if !s.start.IsZero() {
		line("started", s.start.UTC().Format(clock))
	}
	line("failed", s.event.Time.UTC().Format(clock))
	line("at", s.event.Location)
	line("process", fmt.Sprint(s.event.Proc))
	slices.Sort(s.spaces)
	line("namespaces", strings.Join(s.spaces, ", "))
	if s.event.Message != "" {
		fmt.Fprintf(&b, "\n%s\n", strings.TrimSpace(s.event.Message))
	}
	if s.Exec == nil {
		s.missing = append(s.missing, "journals of nodes: nobody can reach into them")
	}
	if err := s.files.Err(); err != nil {
		s.missing = append(s.missing, err.Error())
	}
	if len(s.missing) > 0 {
		slices.Sort(s.missing)
		fmt.Fprintf(&b, "\ncould not be had:\n  %s\n", strings.Join(s.missing, "\n  "))
	}
	return b.String()
}

// again is a shell script that runs a spec again.
func (c *Collector) again(spec string) string {
	return fmt.Sprintf("#!/bin/sh\n# Runs this spec again, alone:\n# %s\nexec %s\n", oneLine(spec), shell.Join(c.Again(spec)))
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
