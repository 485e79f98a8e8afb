package providertest

import (
	"bytes"
	"context"
	"maps"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kluster-project/kluster/provider"
	"github.com/kluster-project/kluster/provider/providertest/program"
)

// TestNodeLife takes a node with a fixed address through all of its states.
func (s *suite) TestNodeLife(t *testing.T) {
	spec := s.spec("a")
	n, netSpec := s.network(t, "net")
	spec.Network = n.Name
	spec.Addrs = []netip.Addr{netSpec.Subnets[0].Addr().Next().Next()}
	spec.Volumes = []string{"/data"}
	id := s.create(t, spec).ID

	s.wantNode(t, spec, provider.StateCreated)
	for range 2 { // a second start is no error
		if err := s.p.StartNode(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	s.wantNode(t, spec, provider.StateRunning)
	s.waitForGreetings(t, id, 1)
	if got := s.output(t, id, "echo", "hello"); got != "hello\n" {
		t.Errorf("echo gave %q", got)
	}
	if err := s.p.StopNode(t.Context(), id, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	s.wantNode(t, spec, provider.StateStopped)
	if err := s.p.StartNode(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	s.wantNode(t, spec, provider.StateRunning)
	s.waitForGreetings(t, id, 2)
	if err := s.p.KillNode(t.Context(), id, "KILL"); err != nil {
		t.Fatal(err)
	}
	s.wantNode(t, spec, provider.StateStopped)
	if got := s.node(t, "a").ExitCode; got != 137 {
		t.Errorf("exit code after KILL is %d, want 137", got)
	}
}

// TestRestart stops and kills a node that its engine starts again when it ends by itself.
func (s *suite) TestRestart(t *testing.T) {
	spec := s.spec("a")
	spec.Restart = true
	id := s.create(t, spec).ID
	stop := func() error { return s.p.StopNode(t.Context(), id, 10*time.Second) }
	start := func() error { return s.p.StartNode(t.Context(), id) }
	kill := func() error { return s.p.KillNode(t.Context(), id, "KILL") }
	for i, step := range []struct {
		do   func() error
		want provider.State
	}{
		{start, provider.StateRunning},
		{stop, provider.StateStopped},
		{stop, provider.StateStopped},
		{start, provider.StateRunning},
		{start, provider.StateRunning},
		{kill, provider.StateStopped},
		{stop, provider.StateStopped}, // what was killed is to stay down, too
		{start, provider.StateRunning},
	} {
		s.do(t, step.do())
		if got := s.node(t, "a").State; got != step.want {
			t.Errorf("after step %d the node is %s, want %s", i+1, got, step.want)
		}
	}
}

// waitForGreetings waits until the first process of a node has printed that it
// is up this many times, so that it is ready for signals. The log stays when
// the node stops.
func (s *suite) waitForGreetings(t *testing.T, id string, want int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var log bytes.Buffer
		if err := s.p.Logs(ctx, id, provider.LogOptions{}, &log); err != nil {
			t.Fatal(err)
		}
		if strings.Count(log.String(), program.Greeting) == want {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the log has not %d greetings: %q", want, log.String())
		case <-tick.C:
		}
	}
}

// wantNode checks what is reported of node "a".
func (s *suite) wantNode(t *testing.T, spec provider.NodeSpec, state provider.State) {
	t.Helper()
	got := s.node(t, "a")
	img, err := s.p.Image(t.Context(), spec.Image)
	if err != nil {
		t.Fatal(err)
	}
	labels := joinLabels(img.Labels, spec.Labels)
	want := provider.Node{Name: spec.Name, Image: spec.Image, Labels: labels, State: state, Addrs: spec.Addrs}
	ignore := cmpopts.IgnoreFields(provider.Node{}, "ID", "Created", "ExitCode", "Networks", "NetworkIDs")
	if diff := cmp.Diff(want, got, ignore, compareAddrs, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("node (-want +got):\n%s", diff)
	}
}

// TestNodeClashes makes two nodes of one name; the first must not be touched.
func (s *suite) TestNodeClashes(t *testing.T) {
	first := s.start(t, "a")
	_, err := s.p.CreateNode(t.Context(), s.spec("a"))
	wantIs(t, err, provider.ErrNameTaken)
	if got := s.node(t, "a"); got.ID != first.ID || got.State != provider.StateRunning {
		t.Errorf("the first node is now %+v", got)
	}
}

// TestNodeMissing asks for an image, a network and a node that do not exist.
func (s *suite) TestNodeMissing(t *testing.T) {
	spec := s.spec("a")
	spec.Image = s.prefix + "missing:1"
	_, err := s.p.CreateNode(t.Context(), spec)
	wantIs(t, err, provider.ErrNotFound)

	spec = s.spec("b")
	spec.Network = s.prefix + "later"
	id := s.create(t, spec).ID
	wantIs(t, s.p.StartNode(t.Context(), id), provider.ErrNotFound)
	s.network(t, "later")
	if err := s.p.StartNode(t.Context(), id); err != nil {
		t.Errorf("the network is there now: %v", err)
	}

	missing := s.prefix + "missing"
	for name, call := range map[string]func() error{
		"StartNode": func() error { return s.p.StartNode(t.Context(), missing) },
		"StopNode":  func() error { return s.p.StopNode(t.Context(), missing, 0) },
		"KillNode":  func() error { return s.p.KillNode(t.Context(), missing, "KILL") },
		"Pause":     func() error { return s.p.PauseNode(t.Context(), missing) },
		"Unpause":   func() error { return s.p.UnpauseNode(t.Context(), missing) },
		"Logs":      func() error { return s.p.Logs(t.Context(), missing, provider.LogOptions{}, &bytes.Buffer{}) },
		"CopyTo":    func() error { return s.p.CopyTo(t.Context(), missing, "/", &bytes.Buffer{}) },
		"CopyFrom":  func() error { _, err := s.p.CopyFrom(t.Context(), missing, "/"); return err },
		"Exec": func() error {
			return s.p.Exec(t.Context(), missing, provider.Command{Args: []string{program.Path}})
		},
	} {
		t.Run(name, func(t *testing.T) { wantIs(t, call(), provider.ErrNotFound) })
	}
}

// TestPorts publishes one host port twice. The node that came second is made
// anew at another port, under its name and address.
func (s *suite) TestPorts(t *testing.T) {
	first, second := s.spec("a"), s.spec("b")
	port := provider.Port{
		NodePort: 80, HostPort: freePort(t), HostAddr: netip.MustParseAddr("127.0.0.1"), Protocol: "tcp",
	}
	first.Ports, second.Ports = []provider.Port{port}, []provider.Port{port}
	if err := s.p.StartNode(t.Context(), s.create(t, first).ID); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first.Ports, s.node(t, "a").Ports, compareAddrs); diff != "" {
		t.Errorf("ports (-want +got):\n%s", diff)
	}
	network, _ := s.network(t, "net")
	second.Network, second.Addrs = network.Name, []netip.Addr{network.Subnets[0].Addr().Next().Next()}
	second.Volumes = []string{"/data"}
	second.Labels = maps.Clone(s.labels)
	second.Labels[contractLabel+".node"] = "b"
	wantIs(t, s.p.StartNode(t.Context(), s.create(t, second).ID), provider.ErrPortTaken)
	if err := s.p.Remove(t.Context(), second.Labels); err != nil {
		t.Fatal(err)
	}
	second.Ports[0].HostPort = freePort(t)
	if err := s.p.StartNode(t.Context(), s.create(t, second).ID); err != nil {
		t.Errorf("at another port: %v", err)
	}
	if first := s.node(t, "a"); first.State != provider.StateRunning {
		t.Errorf("the first node is %s", first.State)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
