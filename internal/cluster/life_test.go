package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	ktesting "k8s.io/client-go/testing"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/fault"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/registries"
	"github.com/kluster-project/kluster/provider"
)

// living is a cluster "c" whose kubelets tell of themselves when they start or go on.
type living struct {
	*swapping

	mu    sync.Mutex
	boots map[string]int // how often each node has begun
	mute  map[string]bool
}

func newLiving(t *testing.T, nodes map[string]nodespec.Role) *living {
	t.Helper()
	l := &living{swapping: newSwapping(t, nodes), boots: map[string]int{}, mute: map[string]bool{}}
	if err := l.WriteFile("c-1", nodespec.ReadyFile, nil); err != nil {
		t.Fatal(err)
	}
	for name := range nodes {
		if err := l.client.Tracker().Add(&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: corev1.NamespaceNodeLease}}); err != nil {
			t.Fatal(err)
		}
	}
	l.Boot = func(n provider.Node) string { l.boot(n.Name); return "" }
	l.Fail = func(op, name string) error {
		if op == "UnpauseNode" {
			return l.renew(name)
		}
		return nil
	}
	inner := l.Handle
	l.Handle = func(ctx context.Context, n provider.Node, cmd provider.Command) int {
		switch cmd.Args[0] {
		case "cat":
			l.mu.Lock()
			defer l.mu.Unlock()
			fmt.Fprintf(cmd.Stdout, "1 (systemd) S %s%d 0\n", strings.Repeat("0 ", 18), l.boots[n.Name])
			return 0
		case "systemctl":
			l.boot(n.Name)
		}
		return inner(ctx, n, cmd)
	}
	return l
}

// boot is a node that begins. Its kubelet tells of it a second later, which is the
// smallest time that a status knows.
func (l *living) boot(name string) {
	l.mu.Lock()
	l.boots[name]++
	mute := l.mute[name]
	l.mu.Unlock()
	n, err := l.client.CoreV1().Nodes().Get(context.Background(), name, metav1.GetOptions{})
	if err != nil || mute {
		return
	}
	n.Status.Conditions[0].LastHeartbeatTime = metav1.NewTime(time.Now().Add(time.Second))
	_, _ = l.client.CoreV1().Nodes().Update(context.Background(), n, metav1.UpdateOptions{})
}

// renew is a kubelet that goes on.
func (l *living) renew(name string) error {
	leases := l.client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	lease, err := leases.Get(context.Background(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	now := metav1.NewMicroTime(time.Now().Add(time.Second))
	lease.Spec.RenewTime = &now
	_, err = leases.Update(context.Background(), lease, metav1.UpdateOptions{})
	return err
}

// do does something, and gives what has become of each machine: "NAME STATE", with "!"
// where it has changed and "ready" where it was waited for.
func (l *living) do(t *testing.T, opt LifeOptions) ([]string, error) {
	t.Helper()
	opt.Cluster = "c"
	if opt.Timeout == 0 {
		opt.Timeout = 10 * time.Second
	}
	result, err := l.m.Life(t.Context(), opt)
	if result == nil {
		return nil, err
	}
	var out []string
	for _, n := range result.Nodes {
		text := n.Node + " " + n.State
		if n.Changed {
			text += "!"
		}
		if n.Ready {
			text += " ready"
		}
		out = append(out, text)
	}
	return out, err
}

// states are those of the machines.
func (l *living) states(t *testing.T) string {
	t.Helper()
	infos, err := l.m.Nodes(t.Context(), "c")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, n := range infos {
		out = append(out, n.Name+" "+n.State)
	}
	return strings.Join(out, ", ")
}

func TestLifeOfACluster(t *testing.T) {
	l := newLiving(t, map[string]nodespec.Role{"c-1": nodespec.RoleControlPlane, "c-2": nodespec.RoleWorker})
	const (
		up     = "c-1 running, c-2 running, c-lb running"
		down   = "c-1 stopped, c-2 stopped, c-lb stopped"
		frozen = "c-1 paused, c-2 paused, c-lb paused"
	)
	for _, step := range []struct {
		verb  LifeVerb
		want  []string
		after string
	}{
		{Start, []string{"c-1 running ready", "c-2 running ready", "c-lb running"}, up},
		{Stop, []string{"c-1 stopped!", "c-2 stopped!", "c-lb stopped!"}, down},
		{Stop, []string{"c-1 stopped", "c-2 stopped", "c-lb stopped"}, down},
		{Pause, []string{"c-1 stopped", "c-2 stopped", "c-lb stopped"}, down},
		{Start, []string{"c-1 running! ready", "c-2 running! ready", "c-lb running!"}, up},
		{Restart, []string{"c-1 running! ready", "c-2 running! ready", "c-lb running!"}, up},
		{Pause, []string{"c-1 paused!", "c-2 paused!", "c-lb paused!"}, frozen},
		{Pause, []string{"c-1 paused", "c-2 paused", "c-lb paused"}, frozen},
		{Resume, []string{"c-1 running! ready", "c-2 running! ready", "c-lb running!"}, up},
		{Resume, []string{"c-1 running ready", "c-2 running ready", "c-lb running"}, up},
		{Pause, []string{"c-1 paused!", "c-2 paused!", "c-lb paused!"}, frozen},
		{Start, []string{"c-1 running! ready", "c-2 running! ready", "c-lb running!"}, up},
		{Pause, []string{"c-1 paused!", "c-2 paused!", "c-lb paused!"}, frozen},
		{Stop, []string{"c-1 stopped!", "c-2 stopped!", "c-lb stopped!"}, down},
	} {
		got, err := l.do(t, LifeOptions{Verb: step.verb})
		if err != nil {
			t.Fatalf("%s: %v", step.verb, err)
		}
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.verb, diff)
		}
		if now := l.states(t); now != step.after {
			t.Errorf("after %s: %s", step.verb, now)
		}
	}
	if got := indexes(l.Calls(), "UnpauseNode c-1", "StopNode c-1"); got[0] > got[1] {
		t.Errorf("what is paused is stopped before it goes on: %v", got)
	}
}

// TestStopOutlivesTheEngine: what was stopped stays so, also what was down by way of the
// engine before; that alone does not.
func TestStopOutlivesTheEngine(t *testing.T) {
	l := newLiving(t, map[string]nodespec.Role{"c-1": nodespec.RoleControlPlane, "c-2": nodespec.RoleWorker, "c-3": nodespec.RoleWorker})
	restart := func() string {
		t.Helper()
		if err := l.RestartEngine(); err != nil {
			t.Fatal(err)
		}
		return l.states(t)
	}
	for _, step := range []struct {
		verb  LifeVerb
		nodes []string
		kill  string // by way of the engine, before
		want  string // after the engine has come back
	}{
		{Stop, []string{"c-3"}, "c-2", "c-1 running, c-2 running, c-3 stopped, c-lb running"},
		{Stop, []string{"c-2"}, "c-2", "c-1 running, c-2 stopped, c-3 stopped, c-lb running"},
		{Start, nil, "", "c-1 running, c-2 running, c-3 running, c-lb running"},
		{Stop, nil, "c-2", "c-1 stopped, c-2 stopped, c-3 stopped, c-lb stopped"},
		{Stop, nil, "", "c-1 stopped, c-2 stopped, c-3 stopped, c-lb stopped"},
		{Start, nil, "", "c-1 running, c-2 running, c-3 running, c-lb running"},
	} {
		if step.kill != "" {
			if err := l.KillNode(t.Context(), step.kill, "KILL"); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := l.do(t, LifeOptions{Verb: step.verb, Nodes: step.nodes}); err != nil {
			t.Fatalf("%s %v: %v", step.verb, step.nodes, err)
		}
		if got := restart(); got != step.want {
			t.Errorf("after %s %v: %s, want %s", step.verb, step.nodes, got, step.want)
		}
	}
}

// indexes are where calls were made last.
func indexes(calls []string, wanted ...string) []int {
	var out []int
	for _, w := range wanted {
		slices.Reverse(calls)
		out = append(out, len(calls)-1-slices.Index(calls, w))
		slices.Reverse(calls)
	}
	return out
}

func TestLifeOfNodes(t *testing.T) {
	all := maps.Clone(three)
	all["c-4"] = nodespec.RoleWorker
	l := newLiving(t, all)
	for _, step := range []struct {
		verb  LifeVerb
		nodes []string
		want  []string
	}{
		{Stop, []string{"c-4", "c-1", "c-4"}, []string{"c-4 stopped!", "c-1 stopped!"}},
		{Start, []string{"c-4", "c-1"}, []string{"c-4 running! ready", "c-1 running! ready"}},
		{Restart, []string{"c-1", "c-2"}, []string{"c-1 running! ready", "c-2 running! ready"}},
		{Reboot, []string{"c-4", "c-2"}, []string{"c-4 running! ready", "c-2 running! ready"}},
		{Pause, []string{"c-4"}, []string{"c-4 paused!"}},
		{Restart, []string{"c-4"}, []string{"c-4 running! ready"}},
		{Restart, []string{"c-lb"}, []string{"c-lb running!"}},
	} {
		got, err := l.do(t, LifeOptions{Verb: step.verb, Nodes: step.nodes})
		if err != nil {
			t.Fatalf("%s %v: %v", step.verb, step.nodes, err)
		}
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.verb, diff)
		}
	}
	// A restart of several takes one after the other.
	calls := l.Calls()
	first, second := indexes(calls, "StartNode c-1")[0], indexes(calls, "StopNode c-2")[0]
	if first > second {
		t.Errorf("c-2 is stopped (call %d) before c-1 is back (call %d)", second, first)
	}
	if l.boots["c-4"] != 3 {
		t.Errorf("c-4 has begun %d times, want 3", l.boots["c-4"])
	}
}

func TestLifeKeepsTheQuorum(t *testing.T) {
	for name, test := range map[string]struct {
		nodes  map[string]nodespec.Role
		down   string // is stopped before
		broken string // runs, and its API server does not answer
		opt    LifeOptions
		want   string // of the error; "" for none
	}{
		"one of three":              {nodes: three, opt: LifeOptions{Verb: Stop, Nodes: []string{"c-1"}}},
		"two of three":              {nodes: three, opt: LifeOptions{Verb: Stop, Nodes: []string{"c-1", "c-3"}}, want: "leaves 1 of 3 control planes, and etcd needs 2"},
		"two of three, by force":    {nodes: three, opt: LifeOptions{Verb: Stop, Nodes: []string{"c-1", "c-3"}, Force: true}},
		"a second one":              {nodes: three, down: "c-2", opt: LifeOptions{Verb: Stop, Nodes: []string{"c-1"}}, want: "leaves 1 of 3"},
		"beside one that is broken": {nodes: three, broken: "c-2", opt: LifeOptions{Verb: Pause, Nodes: []string{"c-1"}}, want: "leaves 1 of 3"},
		"the broken one":            {nodes: three, broken: "c-2", opt: LifeOptions{Verb: Stop, Nodes: []string{"c-2"}}},
		"one that is stopped":       {nodes: three, down: "c-2", opt: LifeOptions{Verb: Stop, Nodes: []string{"c-2"}}},
		"the only one":              {nodes: map[string]nodespec.Role{"c-1": nodespec.RoleControlPlane}, opt: LifeOptions{Verb: Stop, Nodes: []string{"c-1"}}, want: "leaves 0 of 1"},
		"restart of all in turn":    {nodes: three, opt: LifeOptions{Verb: Restart, Nodes: []string{"c-1", "c-2", "c-3"}}},
		"restart of the only one":   {nodes: map[string]nodespec.Role{"c-1": nodespec.RoleControlPlane}, opt: LifeOptions{Verb: Restart, Nodes: []string{"c-1"}}},
		"restart of a second one":   {nodes: three, down: "c-2", opt: LifeOptions{Verb: Reboot, Nodes: []string{"c-1"}}, want: "leaves 1 of 3"},
		"restart of the broken one": {nodes: three, broken: "c-2", opt: LifeOptions{Verb: Restart, Nodes: []string{"c-2"}}},
		"the whole cluster":         {nodes: three, opt: LifeOptions{Verb: Stop}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLiving(t, test.nodes)
			l.breakAPI(test.broken)
			if test.down != "" {
				if err := l.StopNode(t.Context(), test.down, 0); err != nil {
					t.Fatal(err)
				}
			}
			before := l.states(t)
			_, err := l.do(t, test.opt)
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || failure.Code(err) != failure.CodeHost || len(failure.Hints(err)) == 0 {
				t.Errorf("got %v with hints %q, want %q", err, failure.Hints(err), test.want)
			}
			if now := l.states(t); now != before {
				t.Errorf("changed from %s to %s", before, now)
			}
		})
	}
}

// breakAPI lets the API server of a node fail until the node is started again.
func (l *living) breakAPI(node string) {
	inner, since := l.Handle, len(l.Calls())
	l.Handle = func(ctx context.Context, n provider.Node, cmd provider.Command) int {
		if n.Name == node && cmd.Args[0] == "kubectl" && !slices.Contains(l.Calls()[since:], "StartNode "+node) {
			return 1
		}
		return inner(ctx, n, cmd)
	}
}

func TestLifeRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		opt  LifeOptions
		code int
		want string
	}{
		"a cluster that there is not": {LifeOptions{Verb: Stop, Cluster: "none"}, 2, `no cluster "none"`},
		"a node that there is not":    {LifeOptions{Verb: Stop, Cluster: "c", Nodes: []string{"c-9"}}, 2, `no node "c-9"`},
		"an unknown verb":             {LifeOptions{Verb: "melt", Cluster: "c"}, 2, `no verb "melt"`},
		"reboot of the balancer":      {LifeOptions{Verb: Reboot, Cluster: "c", Nodes: []string{"c-lb"}}, 2, "load balancer, which has no systemd"},
		"reboot of a stopped node":    {LifeOptions{Verb: Reboot, Cluster: "c", Nodes: []string{"c-3"}}, 4, "c-3 is stopped"},
		"a wait without a balancer":   {LifeOptions{Verb: Start, Cluster: "c", Nodes: []string{"c-3"}}, 4, "the load balancer c-lb is stopped"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLiving(t, three)
			for _, n := range []string{"c-3", "c-lb"} {
				if err := l.StopNode(t.Context(), n, 0); err != nil {
					t.Fatal(err)
				}
			}
			_, err := l.m.Life(t.Context(), test.opt)
			if err == nil || !strings.Contains(err.Error(), test.want) || failure.Code(err) != test.code {
				t.Errorf("got %v (code %d), want %q (code %d)", err, failure.Code(err), test.want, test.code)
			}
		})
	}
}

func TestLifeOfAClusterThatIsChanged(t *testing.T) {
	l := newLiving(t, three)
	nodes, err := l.m.existing(t.Context(), "c")
	if err != nil {
		t.Fatal(err)
	}
	_, unlock, err := l.m.lock(t.Context(), swapWork, "c", nodes, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.do(t, LifeOptions{Verb: Stop}); failure.Code(err) != failure.CodeHost || !strings.Contains(err.Error(), "being swapped") {
		t.Errorf("got %v", err)
	}
	unlock()
	if _, err := l.do(t, LifeOptions{Verb: Stop}); err != nil {
		t.Error(err)
	}
}

func TestLifeThatDoesNotGoWell(t *testing.T) {
	t.Run("late", func(t *testing.T) {
		l := newLiving(t, three)
		l.mute["c-2"] = true
		got, err := l.do(t, LifeOptions{Verb: Restart, Nodes: []string{"c-2"}, Timeout: 500 * time.Millisecond})
		if err == nil || !strings.Contains(err.Error(), "restarting c-2: readiness: waiting for nodes (c-2: nothing was heard of its kubelet): not done within 500ms") {
			t.Errorf("got %v", err)
		}
		if diff := cmp.Diff([]string{"c-2 running!"}, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("a port that is taken", func(t *testing.T) {
		l := newLiving(t, three)
		l.Fail = func(op, name string) error {
			if op == "StartNode" && name == "c-lb" {
				return provider.ErrPortTaken
			}
			return nil
		}
		got, err := l.do(t, LifeOptions{Verb: Restart})
		if !errors.Is(err, provider.ErrPortTaken) || failure.Code(err) != failure.CodeHost || len(failure.Hints(err)) == 0 {
			t.Errorf("got %v", err)
		}
		if diff := cmp.Diff([]string{"c-1 running!", "c-2 running!", "c-3 running!", "c-lb stopped!"}, got); diff != "" {
			t.Errorf("the others start all the same: %s", diff)
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		for _, at := range []string{"stop", "start", "readiness"} {
			l := newLiving(t, three)
			ctx, cancel := context.WithCancelCause(t.Context())
			_, err := l.m.Life(ctx, LifeOptions{Verb: Restart, Cluster: "c", OnStep: func(_ context.Context, name string) {
				if name == at {
					cancel(failure.ErrInterrupted)
				}
			}})
			if !errors.Is(err, failure.ErrInterrupted) {
				t.Errorf("at %s: %v", at, err)
			}
			if _, err := l.do(t, LifeOptions{Verb: Start}); err != nil {
				t.Errorf("after an interruption at %s: %v", at, err)
			}
		}
	})
	t.Run("without an API", func(t *testing.T) {
		l := newLiving(t, three)
		l.client.PrependReactor("list", "nodes", func(ktesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewServiceUnavailable("no quorum")
		})
		_, err := l.do(t, LifeOptions{Verb: Start, Timeout: 300 * time.Millisecond})
		if err == nil || !strings.Contains(err.Error(), "the API does not answer: no quorum") {
			t.Errorf("got %v", err)
		}
	})
}

func TestLifeWithoutAPodNetwork(t *testing.T) {
	l := newLiving(t, three)
	for name, cni := range map[string]string{"c-1": "none", "c-2": "default"} {
		n, err := l.client.CoreV1().Nodes().Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		n.Status.Conditions[0].Status = corev1.ConditionFalse
		n.Status.Conditions[0].Message = "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady"
		if _, err := l.client.CoreV1().Nodes().Update(t.Context(), n, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := l.WriteFile(name, nodespec.NodeFile, fmt.Appendf(nil, `{"cni": %q}`, cni)); err != nil {
			t.Fatal(err)
		}
		_, err = l.do(t, LifeOptions{Verb: Restart, Nodes: []string{name}, Timeout: time.Second})
		if (err == nil) != (cni == "none") {
			t.Errorf("cni %s: %v", cni, err)
		}
	}
}

func TestStartBringsRegistriesBack(t *testing.T) {
	l := newLiving(t, three)
	if _, err := l.CreateNetwork(t.Context(), provider.NetworkSpec{Name: "c", Labels: map[string]string{nodespec.LabelCluster: "c"}}); err != nil {
		t.Fatal(err)
	}
	for name, on := range map[string]string{"kluster-cache-a.example": "c", "kluster-cache-b.example": ""} {
		n, err := l.CreateNode(t.Context(), provider.NodeSpec{Name: name, Image: testImage, Network: on, Labels: map[string]string{
			registries.Label: fmt.Sprintf(`{"upstream": %q}`, strings.TrimPrefix(name, "kluster-cache-")),
		}})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.WriteFile(n.ID, "/etc/registry/x", nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.do(t, LifeOptions{Verb: Start}); err != nil {
		t.Fatal(err)
	}
	nodes, err := l.Nodes(t.Context(), provider.Selector{registries.Label: ""})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range nodes {
		got = append(got, n.Name+" "+string(n.State))
	}
	if diff := cmp.Diff([]string{"kluster-cache-a.example running", "kluster-cache-b.example created"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestLifeEndsFaults sees that nobody starts again what was stopped.
func TestLifeEndsFaults(t *testing.T) {
	l := newLiving(t, three)
	n, err := l.m.node(t.Context(), "c", "c-2")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	g := guardedFault{Active: fault.Active{
		ID: "abcdefgh", Cluster: "c", Kind: fault.Kill, Nodes: []string{"c-2"}, Since: now, Until: now.Add(time.Hour), Undo: fault.ByGuard,
	}, Targets: []string{n.ID}, Image: testImage}
	if err := l.m.recordFault(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	if err := l.KillNode(t.Context(), n.ID, "KILL"); err != nil {
		t.Fatal(err)
	}
	if got, err := l.do(t, LifeOptions{Verb: Stop, Nodes: []string{"c-1"}, Force: true}); err != nil || got[0] != "c-1 stopped!" {
		t.Fatalf("%q, %v", got, err)
	}
	if left, err := l.m.guarded(t.Context(), "c"); err != nil || len(left) != 1 {
		t.Errorf("a fault of another node: %+v, %v", left, err)
	}
	if _, err := l.do(t, LifeOptions{Verb: Stop}); err != nil {
		t.Fatal(err)
	}
	if left, err := l.m.guarded(t.Context(), "c"); err != nil || len(left) != 0 {
		t.Errorf("faults that are left: %+v, %v", left, err)
	}
	if now := l.states(t); now != "c-1 stopped, c-2 stopped, c-3 stopped, c-lb stopped" {
		t.Error(now)
	}
}
