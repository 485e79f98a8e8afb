package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/fault"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/status"
	"github.com/kluster-project/kluster/provider"
	"github.com/kluster-project/kluster/provider/providertest"
)

// hurting is a cluster "c" of three control planes, a worker and a load balancer that
// can be hurt. Its guards are goroutines, and its nodes keep the orders that they get.
type hurting struct {
	*providertest.Provider
	m *Manager

	mu     sync.Mutex
	told   []string                          // "NODE: ACT ID-or-kind"
	orders map[string]map[string]fault.Order // by node and ID
	refuse map[string]string                 // by "NODE: ACT"
	guards sync.WaitGroup
	slow   time.Duration // how long an undo by systemd takes
}

func newHurting(t *testing.T) *hurting {
	t.Helper()
	h := &hurting{Provider: engine(t), orders: map[string]map[string]fault.Order{}, refuse: map[string]string{}}
	h.m = manager(t, h.Provider)
	h.m.startGuard = h.startGuard
	h.Handle = h.agent
	for i, name := range []string{"c-control-plane-1", "c-control-plane-2", "c-control-plane-3", "c-worker-1", "c-lb"} {
		role := nodespec.Role(strings.TrimRight(strings.TrimPrefix(name, "c-"), "-123"))
		addrs := []netip.Addr{netip.AddrFrom4([4]byte{172, 28, 0, byte(2 + i)})}
		if name == "c-lb" {
			role, addrs = nodespec.RoleLoadBalancer, nil
		}
		h.add(t, name, role, addrs)
	}
	if err := h.WriteFile("c-control-plane-1", nodespec.ReadyFile, nil); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *hurting) add(t *testing.T, name string, role nodespec.Role, addrs []netip.Addr) {
	t.Helper()
	cluster, _, _ := strings.Cut(name, "-")
	n, err := h.CreateNode(t.Context(), provider.NodeSpec{Name: name, Image: testImage, NoNetwork: true, Addrs: addrs, Labels: map[string]string{
		nodespec.LabelCluster: cluster, nodespec.LabelCreation: "made", nodespec.LabelRole: string(role), nodespec.LabelNode: name,
	}})
	if err == nil {
		err = h.StartNode(t.Context(), n.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// agent is "kluster-node fault" of a node.
func (h *hurting) agent(_ context.Context, n provider.Node, cmd provider.Command) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	have := h.orders[n.Name]
	if cmd.Args[0] == "systemctl" {
		return h.systemctl(n, cmd.Args[1:])
	}
	act := cmd.Args[2]
	if have == nil {
		have = map[string]fault.Order{}
		h.orders[n.Name] = have
	}
	if act != "list" {
		h.told = append(h.told, n.Name+": "+strings.Join(cmd.Args[2:], " "))
	}
	if why := h.refuse[n.Name+": "+act]; why != "" {
		fmt.Fprintf(cmd.Stderr, "level=ERROR msg=%q\n", why)
		return fault.CodeRefused
	}
	switch act {
	case "start":
		var o fault.Order
		if err := json.NewDecoder(cmd.Stdin).Decode(&o); err != nil {
			return 1
		}
		have[o.ID] = o
	case "undo":
		delete(have, cmd.Args[3])
	case "list":
		all := []fault.Order{}
		for _, o := range have {
			all = append(all, o)
		}
		_ = json.NewEncoder(cmd.Stdout).Encode(all)
	case "addresses":
		_, _ = io.WriteString(cmd.Stdout, `["172.28.0.200"]`)
	}
	return 0
}

// systemctl starts units that undo faults, of which there is one with each fault. It takes
// a while.
func (h *hurting) systemctl(n provider.Node, args []string) int {
	unit := args[len(args)-1]
	h.told = append(h.told, n.Name+": systemctl "+strings.Join(args, " "))
	id := strings.TrimSuffix(strings.TrimPrefix(unit, fault.UndoUnit("")), ".service")
	if _, there := h.orders[n.Name][id]; !there {
		return 5 // as systemctl has it where there is no such unit
	}
	time.AfterFunc(h.slow, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.orders[n.Name], id)
	})
	return 0
}

func (h *hurting) startGuard(order []byte) (guardProcess, error) {
	ctx, dismiss := context.WithCancel(context.Background())
	answers, theirs := io.Pipe()
	h.guards.Go(func() {
		defer dismiss()
		_ = h.m.Guard(ctx, strings.NewReader(string(order)), theirs)
	})
	return guardProcess{answers: answers, dismiss: dismiss}, nil
}

func (h *hurting) state(t *testing.T, name string) provider.State {
	t.Helper()
	nodes, err := h.Nodes(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(nodes, func(n provider.Node) bool { return n.Name == name })
	if i < 0 {
		return "gone"
	}
	return nodes[i].State
}

// changes are the operations that change something, without the IDs of faults.
func (h *hurting) changes(since int) []string {
	var all []string
	for _, call := range h.Calls()[since:] {
		op, object, _ := strings.Cut(call, " ")
		if strings.HasPrefix(object, "c-fault-") {
			object = "record"
		}
		if !slices.Contains([]string{"Nodes", "Exec", "Host"}, op) {
			all = append(all, strings.TrimSpace(op+" "+object))
		}
	}
	return all
}

func TestGuardedFaults(t *testing.T) {
	for kind, test := range map[fault.Kind]struct {
		while   provider.State
		changes []string
	}{
		fault.Kill:  {provider.StateStopped, []string{"CreateNode record", "KillNode c-worker-1", "StartNode c-worker-1", "Remove"}},
		fault.Pause: {provider.StatePaused, []string{"CreateNode record", "PauseNode c-worker-1", "UnpauseNode c-worker-1", "Remove"}},
	} {
		t.Run(string(kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHurting(t)
				before := len(h.Calls())
				began := time.Now()
				a, err := h.m.Fault(t.Context(), "c", fault.Spec{Kind: kind, Nodes: []string{"worker-1"}})
				if err != nil {
					t.Fatal(err)
				}
				if got := h.state(t, "c-worker-1"); got != test.while {
					t.Errorf("the node is %s, want %s", got, test.while)
				}
				if _, err := h.m.Fault(t.Context(), "c", fault.Spec{Kind: kind, Nodes: []string{"worker-1"}}); failure.Code(err) != failure.CodeHost {
					t.Errorf("the same again: %v", err)
				}
				if err := h.m.AwaitFault(t.Context(), *a); err != nil {
					t.Error(err)
				}
				if took := time.Since(began); took < fault.DefaultFor || took > fault.DefaultFor+2*time.Second {
					t.Errorf("it was undone after %v", took)
				}
				h.guards.Wait()
				if got := h.state(t, "c-worker-1"); got != provider.StateRunning {
					t.Errorf("the node is %s", got)
				}
				if diff := cmp.Diff(test.changes, h.changes(before)); diff != "" {
					t.Errorf("changes: %s", diff)
				}
			})
		})
	}
}

// killedGuard is a guard that was killed when its fault held: what it leaves.
func (h *hurting) killedGuard(t *testing.T, kind fault.Kind, until time.Time) string {
	t.Helper()
	const id = "orphan"
	if err := h.record(id, kind, until); err != nil {
		t.Fatal(err)
	}
	if err := remedies[kind].apply(t.Context(), h.Provider, h.id("c-worker-1")); err != nil {
		t.Fatal(err)
	}
	return id
}

func TestOverdueFaultsAreUndone(t *testing.T) {
	for kind := range remedies {
		t.Run(string(kind), func(t *testing.T) {
			h := newHurting(t)
			id := h.killedGuard(t, kind, time.Now().Add(time.Minute))
			if err := h.m.UndoOverdue(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := h.state(t, "c-worker-1"); got != provider.StateRunning {
				t.Errorf("the node is %s", got)
			}
			if got := h.state(t, FaultRecordName("c", id)); got != "gone" {
				t.Errorf("the record is %s", got)
			}
			before := len(h.Calls())
			if err := h.m.UndoOverdue(t.Context()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"Nodes"}, h.Calls()[before:]); diff != "" {
				t.Errorf("without faults it costs one look: %s", diff)
			}
		})
	}
}

// TestOneFaultKeepsNoOther sees that a fault that cannot be undone, or whose record cannot
// be read, leaves no other node frozen.
func TestOneFaultKeepsNoOther(t *testing.T) {
	for name, test := range map[string]struct {
		first func(*hurting) error
		notes string
		want  string // of the error; "" for none
	}{
		"of an unknown kind": {first: func(h *hurting) error { return h.record("a-first", "melt", time.Now()) }, want: `faults of kind "melt"`},
		"unreadable":         {first: func(h *hurting) error { return h.recordText("a-first", "{") }, notes: "leaving a fault as it is: reading label"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHurting(t)
			var said strings.Builder
			h.m.reporter = status.New(status.Options{Out: &said})
			if err := test.first(h); err != nil {
				t.Fatal(err)
			}
			h.killedGuard(t, fault.Pause, time.Now().Add(time.Minute))
			err := h.m.UndoOverdue(t.Context())
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("err = %v, want %q", err, test.want)
			}
			if got := h.state(t, "c-worker-1"); got != provider.StateRunning {
				t.Errorf("the node is %s", got)
			}
			if !strings.Contains(said.String(), test.notes) {
				t.Errorf("said %q", said.String())
			}
		})
	}
}

func TestWhatSomebodyChangedIsLeft(t *testing.T) {
	h := newHurting(t)
	h.killedGuard(t, fault.Pause, time.Now().Add(time.Minute))
	nodes, err := h.Nodes(t.Context(), provider.Selector{nodespec.LabelNode: "c-worker-1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(h.UnpauseNode(t.Context(), nodes[0].ID), h.StopNode(t.Context(), nodes[0].ID, 0)); err != nil {
		t.Fatal(err)
	}
	if err := h.m.UndoOverdue(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := h.state(t, "c-worker-1"); got != provider.StateStopped {
		t.Errorf("the node is %s", got)
	}
}

func TestGuardedFaultThatFails(t *testing.T) {
	h := newHurting(t)
	h.Fail = func(op, object string) error {
		if op == "PauseNode" && object == "c-worker-1" {
			return errors.New("no freezer")
		}
		return nil
	}
	_, err := h.m.Fault(t.Context(), "c", fault.Spec{Kind: fault.Pause, Nodes: []string{"control-plane-1", "worker-1"}})
	if err == nil || !strings.Contains(err.Error(), "no freezer") {
		t.Errorf("err = %v", err)
	}
	h.guards.Wait()
	for _, name := range []string{"c-control-plane-1", "c-worker-1"} {
		if got := h.state(t, name); got != provider.StateRunning {
			t.Errorf("%s is %s", name, got)
		}
	}
	if all, err := h.m.Faults(t.Context(), "c"); err != nil || len(all) > 0 {
		t.Errorf("left: %v, %v", all, err)
	}
}

// TestGuardsUndoOnlyTheirOwn sees that a guard that fails leaves alone what it has not
// done, although it looks as if it had.
func TestGuardsUndoOnlyTheirOwn(t *testing.T) {
	for name, test := range map[string]struct {
		kind   fault.Kind
		before func(*hurting) error // just before the guard records its fault
		answer error                // to the pause of worker-1, which it does all the same
		says   string
		want   provider.State // of worker-1
	}{
		"refused, since another paused it": {
			kind: fault.Pause, want: provider.StatePaused, says: "there is fault pause of c-worker-1 already",
			before: func(h *hurting) error {
				return errors.Join(h.record("first", fault.Pause, time.Now().Add(time.Hour)), h.PauseNode(context.Background(), h.id("c-worker-1")))
			},
		},
		"one was stopped meanwhile": {
			kind: fault.Kill, want: provider.StateStopped, says: "does not run",
			before: func(h *hurting) error { return h.StopNode(context.Background(), h.id("c-worker-1"), 0) },
		},
		"an answer that got lost": {
			kind: fault.Pause, want: provider.StateRunning, says: "lost",
			answer: errors.New("lost"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHurting(t)
			inner := h.m.provider
			h.m.provider = &meddling{Provider: inner, h: h, before: test.before, answer: test.answer}
			_, err := h.m.Fault(t.Context(), "c", fault.Spec{Kind: test.kind, Nodes: []string{"control-plane-1", "worker-1"}})
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("err = %v", err)
			}
			h.guards.Wait()
			if got := h.state(t, "c-worker-1"); got != test.want {
				t.Errorf("worker-1 is %s, want %s", got, test.want)
			}
			if got := h.state(t, "c-control-plane-1"); got != provider.StateRunning {
				t.Errorf("control-plane-1 is %s", got)
			}
		})
	}
}

// meddling is an engine on which somebody else is at work: before is done just
// before a fault is recorded, and the answer to a pause of worker-1 is another.
type meddling struct {
	provider.Provider
	h      *hurting
	before func(*hurting) error
	answer error
}

func (p *meddling) CreateNode(ctx context.Context, spec provider.NodeSpec) (provider.Node, error) {
	if p.before != nil {
		if err := p.before(p.h); err != nil {
			return provider.Node{}, err
		}
	}
	return p.Provider.CreateNode(ctx, spec)
}

func (p *meddling) PauseNode(ctx context.Context, id string) error {
	err := p.Provider.PauseNode(ctx, id)
	if err == nil && id == p.h.id("c-worker-1") {
		err = p.answer
	}
	return err
}

func (h *hurting) id(name string) string {
	nodes, _ := h.Nodes(context.Background(), provider.Selector{nodespec.LabelNode: name})
	return nodes[0].ID
}

// record writes down a fault of worker-1 whose guard is dead.
func (h *hurting) record(id string, kind fault.Kind, until time.Time) error {
	text, err := json.Marshal(guardedFault{Image: testImage, Creation: "made", Targets: []string{h.id("c-worker-1")}, Active: fault.Active{
		ID: id, Cluster: "c", Kind: kind, Nodes: []string{"c-worker-1"}, Since: time.Now(), Until: until, Undo: fault.ByGuard,
	}})
	if err != nil {
		return err
	}
	return h.recordText(id, string(text))
}

func (h *hurting) recordText(id, text string) error {
	dead := creator{Boot: "another", PIDNamespace: "x", PID: 1, Started: "1"}
	_, err := h.CreateNode(context.Background(), provider.NodeSpec{Name: FaultRecordName("c", id), Image: testImage, NoNetwork: true, Labels: map[string]string{
		nodespec.LabelCluster: "c", nodespec.LabelRole: string(nodespec.RoleFault), nodespec.LabelCreator: dead.String(),
		nodespec.LabelNode: FaultRecordName("c", id), faultLabel: id, faultSpecLabel: text,
	}})
	return err
}

func TestGuardsEnd(t *testing.T) {
	for name, end := range map[string]func(*hurting, context.Context, *fault.Active) error{
		"when it is cleared": func(h *hurting, ctx context.Context, a *fault.Active) error {
			_, err := h.m.ClearFaults(ctx, "c", a.ID)
			return err
		},
		"when the cluster is deleted": func(h *hurting, ctx context.Context, _ *fault.Active) error {
			return h.Remove(ctx, provider.Selector{nodespec.LabelCluster: "c"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHurting(t)
				a, err := h.m.Fault(t.Context(), "c", fault.Spec{Kind: fault.Pause, Nodes: []string{"worker-1", "lb"}, For: time.Hour})
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				if err := end(h, t.Context(), a); err != nil {
					t.Fatal(err)
				}
				h.guards.Wait()
				if took := time.Since(began); took > 2*guardLook {
					t.Errorf("the guard ended after %v", took)
				}
				if left, err := h.Leftovers(t.Context(), provider.Selector{nodespec.LabelRole: string(nodespec.RoleFault)}); err != nil || len(left) > 0 {
					t.Errorf("left: %v, %v", left, err)
				}
				if err := h.m.AwaitFault(t.Context(), *a); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestFaultsInNodes(t *testing.T) {
	h := newHurting(t)
	a, err := h.m.Fault(t.Context(), "c", fault.Spec{Kind: fault.CPU, Nodes: []string{"worker-1", "c-control-plane-1"}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"c-control-plane-1: check", "c-control-plane-1: start", "c-worker-1: check", "c-worker-1: start"}
	if diff := cmp.Diff(want, slices.Sorted(slices.Values(h.told))); diff != "" {
		t.Error(diff)
	}
	if !strings.HasSuffix(h.told[0], "check") || !strings.HasSuffix(h.told[1], "check") {
		t.Errorf("all look before the first begins: %q", h.told)
	}
	all, err := h.m.Faults(t.Context(), "c")
	if diff := cmp.Diff([]fault.Active{*a}, all, cmpopts.EquateEmpty()); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	if _, err := h.m.ClearFaults(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	if all, err := h.m.Faults(t.Context(), "c"); err != nil || len(all) > 0 {
		t.Errorf("left: %v, %v", all, err)
	}
}

// TestPausedNodeKeepsItsFaults sees that a fault inside a node that nobody can ask is not
// taken for one that is undone.
func TestPausedNodeKeepsItsFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHurting(t)
		a, err := h.m.Fault(t.Context(), "c", fault.Spec{Kind: fault.CPU, Nodes: []string{"worker-1"}, For: 10 * time.Second})
		if err == nil {
			_, err = h.m.Fault(t.Context(), "c", fault.Spec{Kind: fault.Pause, Nodes: []string{"worker-1"}, For: 20 * time.Second})
		}
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		h.guards.Go(func() { // the node's timer, which is late
			time.Sleep(21 * time.Second)
			h.mu.Lock()
			defer h.mu.Unlock()
			clear(h.orders["c-worker-1"])
		})
		if err := h.m.AwaitFault(t.Context(), *a); err != nil || time.Since(began) < 20*time.Second {
			t.Errorf("undone after %v: %v", time.Since(began), err)
		}
		h.guards.Wait()
	})
}

func TestRefusedFaultsChangeNothing(t *testing.T) {
	for name, test := range map[string]struct {
		spec    fault.Spec
		refuses string
		code    int
		says    string
	}{
		"kernel":       {fault.Spec{Kind: fault.Partition, Nodes: []string{"worker-1", "control-plane-1"}}, "c-worker-1: check", failure.CodeHost, "c-worker-1: no nftables; nothing was changed"},
		"no such node": {fault.Spec{Kind: fault.Pause, Nodes: []string{"worker-9"}}, "", failure.CodeUsage, `no node "worker-9"`},
		"hostile name": {fault.Spec{Kind: fault.Pause, Nodes: []string{"a; reboot"}}, "", failure.CodeUsage, "no name of a node"},
		"another's":    {fault.Spec{Kind: fault.Pause, Nodes: []string{"d-worker-1"}}, "", failure.CodeUsage, `no node "d-worker-1"`},
		"twice":        {fault.Spec{Kind: fault.Pause, Nodes: []string{"worker-1", "c-worker-1"}}, "", failure.CodeUsage, "named twice"},
		"role":         {fault.Spec{Kind: fault.CPU, Nodes: []string{"lb"}}, "", failure.CodeUsage, "fault cpu is not for c-lb"},
		"process":      {fault.Spec{Kind: fault.KillProcess, Nodes: []string{"worker-1"}, Params: map[string]string{"process": "etcd"}}, "", failure.CodeUsage, "has no etcd"},
		"balancer":     {fault.Spec{Kind: fault.KillProcess, Nodes: []string{"lb"}, Params: map[string]string{"process": "kubelet"}}, "", failure.CodeUsage, "has no kubelet"},
		"both sides":   {fault.Spec{Kind: fault.Partition, Nodes: []string{"worker-1"}, Params: map[string]string{"from": "worker-1"}}, "", failure.CodeUsage, "on both sides"},
		"endless":      {fault.Spec{Kind: fault.Pause, Nodes: []string{"worker-1"}, For: 25 * time.Hour}, "", failure.CodeUsage, "lasts from 1s to 1h"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHurting(t)
			h.add(t, "d-worker-1", nodespec.RoleWorker, nil)
			h.refuse[test.refuses] = "no nftables"
			before := len(h.Calls())
			_, err := h.m.Fault(t.Context(), "c", test.spec)
			if err == nil || failure.Code(err) != test.code || !strings.Contains(err.Error(), test.says) {
				t.Errorf("code %d: %v", failure.Code(err), err)
			}
			if changes := h.changes(before); len(changes) > 0 {
				t.Errorf("changes: %q", changes)
			}
			if slices.ContainsFunc(h.told, func(s string) bool { return strings.Contains(s, "start") }) {
				t.Errorf("told: %q", h.told)
			}
		})
	}
}

func TestFaultThatFailsInOneNodeIsUndoneInAll(t *testing.T) {
	h := newHurting(t)
	h.refuse["c-worker-1: start"] = "it has one already"
	_, err := h.m.Fault(t.Context(), "c", fault.Spec{Kind: fault.CPU, Nodes: []string{"worker-1", "control-plane-1"}})
	if err == nil || !strings.Contains(err.Error(), "c-worker-1: it has one already") {
		t.Errorf("err = %v", err)
	}
	if all, err := h.m.Faults(t.Context(), "c"); err != nil || len(all) > 0 {
		t.Errorf("left: %v, %v", all, err)
	}
}

func TestWhoIsCutOffFromWhom(t *testing.T) {
	for name, test := range map[string]struct {
		nodes  []string
		params map[string]string
		want   []string
	}{
		"one from all": {[]string{"worker-1"}, nil, []string{
			"c-worker-1 <-> c-control-plane-1 172.28.0.2", "c-worker-1 <-> c-control-plane-2 172.28.0.3",
			"c-worker-1 <-> c-control-plane-3 172.28.0.4", "c-worker-1 <-> c-lb 172.28.0.200",
		}},
		"groups": {[]string{"control-plane-1", "worker-1"}, map[string]string{"from": "control-plane-2,c-control-plane-3"}, []string{
			"c-control-plane-1 <-> c-control-plane-2 172.28.0.3", "c-control-plane-1 <-> c-control-plane-3 172.28.0.4",
			"c-worker-1 <-> c-control-plane-2 172.28.0.3", "c-worker-1 <-> c-control-plane-3 172.28.0.4",
		}},
		"one way in":  {[]string{"worker-1"}, map[string]string{"from": "control-plane-1", "direction": "in"}, []string{"c-worker-1 <- c-control-plane-1 172.28.0.2"}},
		"one way out": {[]string{"worker-1"}, map[string]string{"from": "control-plane-1", "direction": "out"}, []string{"c-worker-1 -> c-control-plane-1 172.28.0.2"}},
		"the load balancer, which the others cut off": {[]string{"lb"}, map[string]string{"from": "worker-1", "direction": "in"}, []string{"c-worker-1 -> c-lb 172.28.0.200"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHurting(t)
			if _, err := h.m.Fault(t.Context(), "c", fault.Spec{Kind: fault.Partition, Nodes: test.nodes, Params: test.params}); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, orders := range h.orders {
				for _, o := range orders {
					for _, p := range o.Peers {
						arrow := map[[2]bool]string{{true, true}: "<->", {true, false}: "<-", {false, true}: "->"}[[2]bool{p.In, p.Out}]
						got = append(got, fmt.Sprintf("%s %s %s %s", o.Node, arrow, p.Name, p.Addrs[0]))
					}
				}
			}
			slices.Sort(got)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestClearDespiteANode sees that a node that does not answer, or is too old to know
// faults, keeps no fault elsewhere.
func TestClearDespiteANode(t *testing.T) {
	for name, test := range map[string]struct {
		code int
		want string // of the error; "" for none
	}{
		"it does not answer": {1, "c-control-plane-2: broken"},
		"it is too old":      {agentUnknown, ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHurting(t)
			for _, spec := range []fault.Spec{{Kind: fault.CPU, Nodes: []string{"control-plane-1"}}, {Kind: fault.Pause, Nodes: []string{"worker-1"}}} {
				if _, err := h.m.Fault(t.Context(), "c", spec); err != nil {
					t.Fatal(err)
				}
			}
			h.Handle = func(ctx context.Context, n provider.Node, cmd provider.Command) int {
				if n.Name == "c-control-plane-2" {
					_, _ = io.WriteString(cmd.Stderr, "broken")
					return test.code
				}
				return h.agent(ctx, n, cmd)
			}
			check := func(doing string, err error) {
				t.Helper()
				if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
					t.Errorf("%s: err = %v, want %q", doing, err, test.want)
				}
			}
			_, err := h.m.Faults(t.Context(), "c")
			check("list", err)
			_, err = h.m.ClearFaults(t.Context(), "c")
			check("clear", err)
			h.guards.Wait()
			if got := h.state(t, "c-worker-1"); got != provider.StateRunning {
				t.Errorf("worker-1 is %s", got)
			}
			if left := h.orders["c-control-plane-1"]; len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// TestListDespiteANode sees that what is known is listed and awaited when a node hangs.
func TestListDespiteANode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHurting(t)
		inside, err := h.m.Fault(t.Context(), "c", fault.Spec{Kind: fault.CPU, Nodes: []string{"control-plane-1"}})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		guarded, err := h.m.Fault(t.Context(), "c", fault.Spec{Kind: fault.Pause, Nodes: []string{"worker-1"}})
		if err != nil {
			t.Fatal(err)
		}
		var hangs atomic.Bool
		hangs.Store(true)
		h.Handle = func(ctx context.Context, n provider.Node, cmd provider.Command) int {
			if hangs.Load() && n.Name == "c-control-plane-2" {
				<-ctx.Done()
				return 137
			}
			return h.agent(ctx, n, cmd)
		}
		all, err := h.m.Faults(t.Context(), "c")
		if err == nil || !strings.Contains(err.Error(), "the faults of c-control-plane-2 are not known: ") || !strings.Contains(err.Error(), "it did not answer within 20s") || len(failure.Hints(err)) == 0 {
			t.Errorf("err = %v, hints %q", err, failure.Hints(err))
		}
		if len(all) != 2 || all[0].ID != inside.ID || all[1].ID != guarded.ID {
			t.Errorf("listed: %+v", all)
		}
		time.AfterFunc(10*time.Second, func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			delete(h.orders["c-control-plane-1"], inside.ID)
			hangs.Store(false)
		})
		if err := h.m.AwaitFault(t.Context(), *inside); err != nil {
			t.Error(err)
		}
		if _, err := h.m.ClearFaults(t.Context(), "c"); err != nil {
			t.Error(err)
		}
		h.guards.Wait()
	})
}

// TestAwaitFaultAsksWhoMayHaveIt: a node that hangs keeps a fault that it may have, and no other.
func TestAwaitFaultAsksWhoMayHaveIt(t *testing.T) {
	const undone, answers = 10 * time.Second, 50 * time.Second
	cpu := fault.Spec{Kind: fault.CPU, Nodes: []string{"control-plane-1"}}
	front := fault.Spec{Kind: fault.Partition, Nodes: []string{"lb"}, Params: map[string]string{"from": "worker-1"}}
	for name, test := range map[string]struct {
		spec  fault.Spec
		hangs string
		want  time.Duration
	}{
		"its own":                          {cpu, "c-control-plane-1", answers},
		"another":                          {cpu, "c-control-plane-2", undone},
		"in the place of a load balancer":  {front, "c-worker-1", answers},
		"another beside the load balancer": {front, "c-control-plane-2", undone},
		"any in its place":                 {fault.Spec{Kind: fault.Partition, Nodes: []string{"lb"}}, "c-control-plane-2", answers},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHurting(t)
				a, err := h.m.Fault(t.Context(), "c", test.spec)
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				h.Handle = func(ctx context.Context, n provider.Node, cmd provider.Command) int {
					if n.Name == test.hangs && time.Since(began) < answers {
						<-ctx.Done()
						return 137
					}
					return h.agent(ctx, n, cmd)
				}
				time.AfterFunc(undone, func() {
					h.mu.Lock()
					defer h.mu.Unlock()
					clear(h.orders)
				})
				err = h.m.AwaitFault(t.Context(), *a)
				if took := time.Since(began); err != nil || took < test.want || took > test.want+faultListTime+slowLook {
					t.Errorf("undone after %v, want %v: %v", took, test.want, err)
				}
			})
		})
	}
}

// TestUndoOfAFullDisk is done by the node, however long it takes.
func TestUndoOfAFullDisk(t *testing.T) {
	for name, test := range map[string]struct {
		slow time.Duration
		want string // of the error
	}{
		"quick":    {time.Second, ""},
		"slow":     {faultUndoTime + 30*time.Second, ""},
		"too slow": {2 * slowUndoTime, "c-control-plane-1 still undoes it, and goes on by itself"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHurting(t)
				h.slow = test.slow
				inner := h.Handle
				ctx, cancel := context.WithCancelCause(t.Context())
				h.Handle = func(at context.Context, n provider.Node, cmd provider.Command) int {
					code := inner(at, n, cmd)
					if cmd.Args[0] != "systemctl" && cmd.Args[2] == "start" {
						cancel(failure.ErrInterrupted) // the fault goes on in the node
						return 130
					}
					return code
				}
				_, err := h.m.Fault(ctx, "c", fault.Spec{Kind: fault.DiskFull, Nodes: []string{"control-plane-1"}, For: 10 * time.Minute})
				if err == nil || !strings.Contains(err.Error(), test.want) || (test.want == "") == strings.Contains(err.Error(), "still undoes") {
					t.Errorf("err = %v", err)
				}
				h.mu.Lock()
				defer h.mu.Unlock()
				if left := len(h.orders["c-control-plane-1"]); (left > 0) != (test.want != "") {
					t.Errorf("%d are left", left)
				}
				if slices.ContainsFunc(h.told, func(s string) bool { return strings.HasPrefix(s, "c-control-plane-1: undo") }) {
					t.Errorf("not by systemd: %q", h.told)
				}
			})
		})
	}
	t.Run("without a unit", func(t *testing.T) {
		h := newHurting(t)
		h.refuse["c-control-plane-1: start"] = "no space"
		_, err := h.m.Fault(t.Context(), "c", fault.Spec{Kind: fault.DiskFull, Nodes: []string{"control-plane-1"}})
		if err == nil || !slices.ContainsFunc(h.told, func(s string) bool { return strings.HasPrefix(s, "c-control-plane-1: undo") }) {
			t.Errorf("err = %v, told %q", err, h.told)
		}
	})
}

func TestInterruptedBeforeItHolds(t *testing.T) {
	h := newHurting(t)
	ctx, interrupt := context.WithCancelCause(t.Context())
	h.Fail = func(op, _ string) error {
		if op == "PauseNode" {
			interrupt(failure.ErrInterrupted)
		}
		return nil
	}
	_, err := h.m.Fault(ctx, "c", fault.Spec{Kind: fault.Pause, Nodes: []string{"worker-1"}})
	if !errors.Is(err, failure.ErrInterrupted) {
		t.Errorf("err = %v", err)
	}
	h.guards.Wait()
	if got := h.state(t, "c-worker-1"); got != provider.StateRunning {
		t.Errorf("the node is %s", got)
	}
}

// TestVerbsEndFaults sees that no guard starts again what a user has stopped, and that
// the other nodes of the same fault are given back.
func TestVerbsEndFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHurting(t)
		if _, err := h.m.Fault(t.Context(), "c", fault.Spec{Kind: fault.Kill, Nodes: []string{"worker-1", "lb"}}); err != nil {
			t.Fatal(err)
		}
		if _, err := h.m.Life(t.Context(), LifeOptions{Verb: Stop, Cluster: "c", Nodes: []string{"c-worker-1"}}); err != nil {
			t.Fatal(err)
		}
		h.guards.Wait()
		time.Sleep(2 * fault.DefaultFor)
		if err := h.m.UndoOverdue(t.Context()); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]provider.State{"c-worker-1": provider.StateStopped, "c-lb": provider.StateRunning} {
			if got := h.state(t, name); got != want {
				t.Errorf("%s is %s, want %s", name, got, want)
			}
		}
	})
}
