package providertest

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/kluster-project/kluster/provider"
	"github.com/kluster-project/kluster/provider/providertest/program"
)

// TestRemove removes by label, and nothing else.
func (s *suite) TestRemove(t *testing.T) {
	other := s.fresh(t, "Remove-other")
	kept := other.start(t, "kept")

	n, _ := s.network(t, "net")
	spec := s.spec("a")
	spec.Network, spec.Volumes = n.Name, []string{"/data", "/more"}
	if err := s.p.StartNode(t.Context(), s.create(t, spec).ID); err != nil {
		t.Fatal(err)
	}
	s.create(t, s.spec("b"))
	// A node of others on the network does not keep the network.
	guest := other.spec("guest")
	guest.Network = n.Name
	if err := s.p.StartNode(t.Context(), other.create(t, guest).ID); err != nil {
		t.Fatal(err)
	}

	left, err := s.p.Leftovers(t.Context(), s.selector())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"node " + spec.Name, "node " + s.prefix + "b", "network " + n.Name} {
		if !slices.Contains(left, want) {
			t.Errorf("leftovers are %q, want %q among them", left, want)
		}
	}
	if got := countPrefix(left, "volume "); got != 2 {
		t.Errorf("%d volumes are left, want 2: %q", got, left)
	}
	for range 2 { // the second time there is nothing to remove
		if err := s.p.Remove(t.Context(), s.selector()); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := s.p.Leftovers(t.Context(), s.selector()); err != nil || len(left) != 0 {
		t.Errorf("leftovers are %q and error %v, want none", left, err)
	}
	if got := other.node(t, "kept"); got.ID != kept.ID || got.State != provider.StateRunning {
		t.Errorf("the node of other labels is now %+v", got)
	}
	if got := other.node(t, "guest"); got.State != provider.StateRunning {
		t.Errorf("the guest on the network is now %+v", got)
	}
	for _, sel := range []provider.Selector{nil, {}} {
		if err := s.p.Remove(t.Context(), sel); err == nil {
			t.Error("an empty selector was taken")
		}
	}
}

func countPrefix(list []string, prefix string) int {
	count := 0
	for _, text := range list {
		if strings.HasPrefix(text, prefix) {
			count++
		}
	}
	return count
}

// TestCancelled calls every method with a context that has ended.
func (s *suite) TestCancelled(t *testing.T) {
	id := s.start(t, "a").ID
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range map[string]func() error{
		"Host":          func() error { _, err := s.p.Host(ctx); return err },
		"Images":        func() error { _, err := s.p.Images(ctx, nil); return err },
		"Image":         func() error { _, err := s.p.Image(ctx, s.ref); return err },
		"LoadImage":     func() error { return s.p.LoadImage(ctx, s.ref, s.image, nil) },
		"RemoveImage":   func() error { return s.p.RemoveImage(ctx, s.ref) },
		"Networks":      func() error { _, err := s.p.Networks(ctx, nil); return err },
		"CreateNetwork": func() error { _, err := s.p.CreateNetwork(ctx, s.networkSpec("net", 201)); return err },
		"Connect":       func() error { return s.p.Connect(ctx, id, "a", nil) },
		"Disconnect":    func() error { return s.p.Disconnect(ctx, id, "a") },
		"Credentials":   func() error { _, err := s.p.Credentials(ctx, "registry.example"); return err },
		"Nodes":         func() error { _, err := s.p.Nodes(ctx, s.selector()); return err },
		"CreateNode":    func() error { _, err := s.p.CreateNode(ctx, s.spec("b")); return err },
		"StartNode":     func() error { return s.p.StartNode(ctx, id) },
		"StopNode":      func() error { return s.p.StopNode(ctx, id, 0) },
		"KillNode":      func() error { return s.p.KillNode(ctx, id, "KILL") },
		"PauseNode":     func() error { return s.p.PauseNode(ctx, id) },
		"UnpauseNode":   func() error { return s.p.UnpauseNode(ctx, id) },
		"CopyTo":        func() error { return s.p.CopyTo(ctx, id, "/", &bytes.Buffer{}) },
		"CopyFrom":      func() error { _, err := s.p.CopyFrom(ctx, id, "/"); return err },
		"Logs":          func() error { return s.p.Logs(ctx, id, provider.LogOptions{}, &bytes.Buffer{}) },
		"Exec":          func() error { return s.p.Exec(ctx, id, provider.Command{Args: []string{program.Path, "echo"}}) },
		"Remove":        func() error { return s.p.Remove(ctx, s.selector()) },
		"Leftovers":     func() error { _, err := s.p.Leftovers(ctx, s.selector()); return err },
	} {
		t.Run(name, func(t *testing.T) { wantIs(t, call(), context.Canceled) })
	}
	if got := s.node(t, "a").State; got != provider.StateRunning {
		t.Errorf("the node is %s, want it untouched", got)
	}
}
