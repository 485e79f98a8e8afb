package e2e

import (
	"sync"

	"github.com/kluster-project/kluster/e2e/event"
	"github.com/kluster-project/kluster/e2e/runner"
	"github.com/kluster-project/kluster/internal/status"
)

// shownInStep shows the specs of one of several runs as progress of its step.
type shownInStep struct {
	step status.Step
	name string

	mu          sync.Mutex
	done, total int64
}

func (s *shownInStep) Begin(b runner.Begin) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total += int64(len(b.Specs))
	s.step.Progress(s.done, s.total)
}

func (s *shownInStep) Event(_ string, e event.Event) {
	if e.Kind != event.End {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done++
	s.step.Progress(s.done, s.total)
	if runner.Failed(e.State) {
		s.step.Note("%s: ✗ %s (%s)", s.name, e.Spec, e.State)
	}
}

func (s *shownInStep) Incident(_, text string) { s.step.Note("%s: %s", s.name, text) }

// Close does nothing: the step ends with the run.
func (s *shownInStep) Close() {}
