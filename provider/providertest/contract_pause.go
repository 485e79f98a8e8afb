package providertest

import (
	"testing"
	"time"

	"github.com/kluster-project/kluster/provider"
)

// TestPause freezes a node and lets it go on, each more than once, and ends paused ones.
func (s *suite) TestPause(t *testing.T) {
	spec := s.spec("a")
	id := s.create(t, spec).ID
	wantIs(t, s.p.PauseNode(t.Context(), id), provider.ErrNotRunning)
	wantIs(t, s.p.KillNode(t.Context(), id, "KILL"), provider.ErrNotRunning)
	s.do(t, s.p.UnpauseNode(t.Context(), id))
	s.do(t, s.p.StartNode(t.Context(), id))
	s.waitForGreetings(t, id, 1)
	for range 2 {
		s.do(t, s.p.PauseNode(t.Context(), id))
		s.wantNode(t, spec, provider.StatePaused)
	}
	if err := s.p.StartNode(t.Context(), id); err == nil {
		t.Error("a paused node was started")
	}
	for range 2 {
		s.do(t, s.p.UnpauseNode(t.Context(), id))
		s.wantNode(t, spec, provider.StateRunning)
	}
	if got := s.output(t, id, "echo", "hello"); got != "hello\n" {
		t.Errorf("echo gave %q", got)
	}

	s.do(t, s.p.PauseNode(t.Context(), id))
	s.do(t, s.p.KillNode(t.Context(), id, "KILL"))
	s.wantNode(t, spec, provider.StateStopped)
	s.do(t, s.p.UnpauseNode(t.Context(), id))
	s.do(t, s.p.StopNode(t.Context(), id, time.Second))
	s.wantNode(t, spec, provider.StateStopped)
	s.do(t, s.p.StartNode(t.Context(), id))
	s.wantNode(t, spec, provider.StateRunning)
}

// do fails the test unless what was done went well.
func (s *suite) do(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
