package providertest

import (
	"testing"
	"time"

	"github.com/kluster-project/kluster/provider"
)

// TestUse looks at what a node uses: something while it runs, and nothing before and
// after.
func (s *suite) TestUse(t *testing.T) {
	node := s.create(t, s.spec("a"))
	s.wantIdle(t, node.ID)
	if err := s.p.StartNode(t.Context(), node.ID); err != nil {
		t.Fatal(err)
	}
	s.waitForGreetings(t, node.ID, 1)
	first, err := s.p.Use(t.Context(), node.ID)
	if err != nil {
		t.Fatal(err)
	}
	if first.Memory <= 0 || first.MemoryLimit < first.Memory || first.CPU < 0 || time.Since(first.At).Abs() > time.Minute {
		t.Errorf("a running node uses %+v", first)
	}
	second, err := s.p.Use(t.Context(), node.ID)
	if err != nil || second.CPU < first.CPU || second.At.Before(first.At) {
		t.Errorf("first %+v, then %+v, %v", first, second, err)
	}
	if err := s.p.StopNode(t.Context(), node.ID, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	s.wantIdle(t, node.ID)
	_, err = s.p.Use(t.Context(), s.prefix+"none")
	wantIs(t, err, provider.ErrNotFound)
}

func (s *suite) wantIdle(t *testing.T, id string) {
	t.Helper()
	if use, err := s.p.Use(t.Context(), id); use != (provider.Use{}) || err != nil {
		t.Errorf("a node that does not run uses %+v, %v", use, err)
	}
}
