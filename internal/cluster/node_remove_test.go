package cluster

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

func TestWorkerIsRemoved(t *testing.T) {
	g := grow(t, 4, pod("daemon", "c-worker-1", "DaemonSet"), pod("elsewhere", "c-control-plane-1", "ReplicaSet"))
	removed, err := g.remove(t.Context(), RemoveOptions{Nodes: []string{"c-worker-1", "c-worker-1"}})
	if err != nil || len(removed) != 1 || removed[0].Node != "c-worker-1" || removed[0].Role != "worker" || !removed[0].Drained {
		t.Fatalf("%+v, %v", removed, err)
	}
	if left := leftovers(t, g, "c"); slices.ContainsFunc(left, func(s string) bool { return strings.Contains(s, "worker") }) {
		t.Errorf("left: %q", left)
	}
	if !slices.Contains(g.deleted, "c-worker-1") || len(g.members) != 3 {
		t.Errorf("deleted %q, members %v", g.deleted, g.members)
	}
	pods, err := g.client.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(pods.Items) != 1 || pods.Items[0].Name != "elsewhere" {
		t.Errorf("%v, %v", pods.Items, err)
	}
	if diff := cmp.Diff([]string{"c-worker-1: systemctl stop kubelet"}, g.seen()); diff != "" {
		t.Error(diff)
	}
	if len(g.machinesNow(t)) != 4 {
		t.Error("the lock is left")
	}
}

func TestControlPlaneIsRemoved(t *testing.T) {
	g := grow(t, 3)
	gone := g.machineOf(t, "c-control-plane-1").Addrs[0].String()
	if _, err := g.remove(t.Context(), RemoveOptions{Nodes: []string{"c-control-plane-1"}}); err != nil {
		t.Fatal(err)
	}
	if state := g.state(t); strings.Contains(state, gone+":") || strings.Contains(state, "plane-1") {
		t.Error(state)
	}
	commands := g.seen()
	at := func(part string) int {
		i := slices.IndexFunc(commands, func(c string) bool { return strings.Contains(c, part) })
		if i < 0 {
			t.Errorf("no %q in %q", part, commands)
		}
		return i
	}
	// Others go elsewhere before it ends, and are cut off last.
	order := []int{at("balancer"), at("c-control-plane-1: systemctl stop kubelet"), at("stop --timeout"), at("hands over"), at("balancer cut")}
	if !slices.IsSorted(order) {
		t.Errorf("order %v of %q", order, commands)
	}
	if slices.ContainsFunc(commands, func(c string) bool { return strings.HasPrefix(c, "c-control-plane-1: /usr") }) {
		t.Errorf("it was told itself: %q", commands)
	}
}

// TestNodeThatDoesNotRunIsRemoved: nothing is asked of it, and its pods go at once.
func TestNodeThatDoesNotRunIsRemoved(t *testing.T) {
	for _, name := range []string{"c-control-plane-2", "c-worker-1"} {
		g := grow(t, 4, pod("web", name, "ReplicaSet"), pod("alone", name, "ReplicaSet"))
		g.stop(t, name)
		removed, err := g.remove(t.Context(), RemoveOptions{Nodes: []string{name}})
		if err != nil || removed[0].Drained {
			t.Fatalf("%+v, %v", removed, err)
		}
		if state := g.state(t); strings.Contains(state, name) {
			t.Error(state)
		}
		if slices.ContainsFunc(g.seen(), func(c string) bool { return strings.HasPrefix(c, name) }) {
			t.Errorf("%q", g.seen())
		}
		if pods, err := g.client.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{}); err != nil || len(pods.Items) > 0 {
			t.Errorf("%v, %v", pods.Items, err)
		}
	}
}

// TestRemovalThatWasKilled: the same again removes what is left.
func TestRemovalThatWasKilled(t *testing.T) {
	for _, member := range []bool{true, false} {
		g := grow(t, 3)
		if err := g.Remove(t.Context(), provider.Selector{nodespec.LabelCluster: "c", nodespec.LabelNode: "c-control-plane-3"}); err != nil {
			t.Fatal(err)
		}
		if !member {
			g.members = g.members[:2]
			g.client.PrependReactor("get", "nodes", oneNode("c-control-plane-3"))
		}
		if _, err := g.remove(t.Context(), RemoveOptions{Nodes: []string{"c-control-plane-3"}}); err != nil {
			t.Fatal(err)
		}
		if len(g.members) != 2 {
			t.Errorf("members %v", g.members)
		}
	}
	g := grow(t, 3)
	_, err := g.remove(t.Context(), RemoveOptions{Nodes: []string{"c-worker-7"}})
	var unknown *NotFoundError
	if !errors.As(err, &unknown) {
		t.Errorf("err = %v", err)
	}
}

func TestRemovalsThatAreRefused(t *testing.T) {
	volume := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pv"}, Spec: corev1.PersistentVolumeSpec{
		ClaimRef: &corev1.ObjectReference{Namespace: "x", Name: "data"},
		NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{"c-worker-1"}}},
		}}}},
	}}
	for name, tt := range map[string]struct {
		nodes   []string
		prepare func(t *testing.T, g *growing)
		code    int
		err     string
		forced  bool // may be forced
	}{
		"the last control plane": {[]string{"c-control-plane-1", "c-control-plane-2", "c-control-plane-3"}, nil, failure.CodeUsage, "no control plane would be left", false},
		"the load balancer":      {[]string{"c-lb"}, nil, failure.CodeUsage, "c-lb is the load balancer", false},
		"a quorum that would break": {
			[]string{"c-control-plane-1"},
			func(t *testing.T, g *growing) { t.Helper(); g.stop(t, "c-control-plane-2") },
			failure.CodeHost, "etcd would have 2 voting members, of which 1 answer and 2 are needed", true,
		},
		"no quorum": {[]string{"c-control-plane-2"}, func(t *testing.T, g *growing) {
			t.Helper()
			g.stop(t, "c-control-plane-2")
			g.stop(t, "c-control-plane-3")
		}, failure.CodeHost, "etcd has 3 voting members, of which 1 answer and 2 are needed to change anything", false},
		"a paused node that is not told": {
			[]string{"c-control-plane-1"},
			func(t *testing.T, g *growing) { t.Helper(); g.pause(t, "c-worker-1") },
			failure.CodeHost, "paused nodes cannot be told of the API servers: c-worker-1", false,
		},
		"pods that would be lost": {[]string{"c-worker-1"}, func(t *testing.T, g *growing) {
			t.Helper()
			if err := g.client.Tracker().Add(pod("alone", "c-worker-1", "")); err != nil {
				t.Fatal(err)
			}
		}, failure.CodeUsage, "would be lost: x/alone", true},
		"volumes that would be lost": {[]string{"c-worker-1"}, func(t *testing.T, g *growing) {
			t.Helper()
			if err := g.client.Tracker().Add(volume); err != nil {
				t.Fatal(err)
			}
		}, failure.CodeUsage, "would be lost: x/data", true},
	} {
		inBubble(t, name, func(t *testing.T) {
			t.Helper()
			g := grow(t, 4)
			g.client.PrependReactor("create", "pods", g.evict)
			if tt.prepare != nil {
				tt.prepare(t, g)
			}
			before := g.state(t)
			_, err := g.remove(t.Context(), RemoveOptions{Nodes: tt.nodes})
			if err == nil || failure.Code(err) != tt.code || !strings.Contains(err.Error(), tt.err) || len(failure.Hints(err)) == 0 && tt.forced {
				t.Errorf("code %d, err = %v", failure.Code(err), err)
			}
			if diff := cmp.Diff(before, g.state(t)); diff != "" || len(g.seen()) > 0 {
				t.Errorf("changed: %s %q", diff, g.seen())
			}
			_, err = g.remove(t.Context(), RemoveOptions{Nodes: tt.nodes, Force: true})
			if (err == nil) != tt.forced {
				t.Errorf("forced: %v", err)
			}
			if tt.forced && strings.Contains(g.state(t), tt.nodes[0]+" running") {
				t.Error(g.state(t))
			}
		})
	}
}

func TestRemovalGoesBack(t *testing.T) {
	steps := RemoveSteps()
	for _, step := range steps[:slices.Index(steps, leavesEtcd)+1] {
		inBubble(t, "interrupted at "+step, func(t *testing.T) {
			t.Helper()
			g := grow(t, 3)
			before := g.state(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			_, err := g.remove(ctx, RemoveOptions{Nodes: []string{"c-control-plane-2"}, OnStep: func(_ context.Context, name string) {
				if name == step {
					cancel(failure.ErrInterrupted)
				}
			}})
			if !errors.Is(err, failure.ErrInterrupted) {
				t.Errorf("err = %v", err)
			}
			if diff := cmp.Diff(before, g.state(t)); diff != "" {
				t.Error(diff)
			}
		})
	}
	for _, broken := range []string{"stop kubelet", "stop --timeout", "/v3/cluster/member/remove"} {
		inBubble(t, broken, func(t *testing.T) {
			t.Helper()
			g := grow(t, 3)
			before := g.state(t)
			g.broken = broken
			if _, err := g.remove(t.Context(), RemoveOptions{Nodes: []string{"c-control-plane-2"}}); err == nil || !strings.Contains(err.Error(), "the cluster is as it was") {
				t.Errorf("err = %v", err)
			}
			if diff := cmp.Diff(before, g.state(t)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestRemovalGoesOnOnceTheMemberHasGone: from there on there is no way back.
func TestRemovalGoesOnOnceTheMemberHasGone(t *testing.T) {
	steps := RemoveSteps()
	for _, step := range steps[slices.Index(steps, leavesEtcd)+1:] {
		g := grow(t, 3)
		ctx, cancel := context.WithCancelCause(t.Context())
		_, err := g.remove(ctx, RemoveOptions{Nodes: []string{"c-control-plane-2"}, OnStep: func(_ context.Context, name string) {
			if name == step {
				cancel(failure.ErrInterrupted)
			}
		}})
		if state := g.state(t); err != nil || strings.Contains(state, "plane-2") {
			t.Errorf("interrupted at %s: %v\n%s", step, err, state)
		}
	}
}
