package cluster

import (
	"slices"
	"testing"
)

func TestEphemeralIsMarkedFromTheStart(t *testing.T) {
	for _, ephemeral := range []bool{true, false} {
		p := engine(t) // in which creates fail after the nodes have been made
		opt := wanted(t, "c", 1)
		opt.Config.Ephemeral, opt.Retain = ephemeral, true
		m := manager(t, p)
		if _, err := m.Create(t.Context(), opt); err == nil {
			t.Fatal("created")
		}
		if info, err := m.Inspect(t.Context(), "c"); err != nil || info.Ephemeral != ephemeral {
			t.Errorf("ephemeral %v: got %+v, %v", ephemeral, info, err)
		}
	}
}

func TestSummaryTellsOfEphemeral(t *testing.T) {
	p := engine(t)
	running(t, p, "c")
	for _, ephemeral := range []bool{true, false} {
		c := &creation{m: manager(t, p), cfg: wanted(t, "c", 1).Config}
		c.cfg.Ephemeral = ephemeral
		s, err := c.summary(t.Context())
		if err != nil || slices.Contains(s.Notes, ephemeralNote) != ephemeral {
			t.Errorf("ephemeral %v: got %+v, %v", ephemeral, s, err)
		}
	}
}
