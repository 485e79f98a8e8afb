package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

// refusedBy checks that an error says what is under way, and what to do.
func refusedBy(t *testing.T, err error, words string) {
	t.Helper()
	if failure.Code(err) != failure.CodeHost || len(failure.Hints(err)) == 0 ||
		!strings.Contains(err.Error(), words) || !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("code %d, err = %v, hints %q, want %q", failure.Code(err), err, failure.Hints(err), words)
	}
}

// TestStartAgainstStop has one process stop or start a cluster and, at each of its calls of
// the engine, another do the opposite: the machines never are partly one and partly the other.
func TestStartAgainstStop(t *testing.T) {
	for _, verbs := range [][2]LifeVerb{{Start, Stop}, {Stop, Start}} {
		for call, met := 1, true; met; call++ {
			t.Run(fmt.Sprintf("%s and %s at call %d", verbs[0], verbs[1], call), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					met = lifePair(t, verbs[0], verbs[1], call)
				})
			})
		}
	}
}

// lifePair does one verb, and the other at a call of it; met says that there was such a call.
func lifePair(t *testing.T, one, other LifeVerb, call int) (met bool) {
	t.Helper()
	l := newLab(t)
	if one == Start {
		aStoppedCluster(t, l)
	} else {
		aCluster(t, l)
	}
	live := func(verb LifeVerb) error {
		_, err := l.manager(t, l).Life(t.Context(), LifeOptions{Verb: verb, Cluster: "c", Timeout: time.Minute})
		return err
	}
	var otherErr error
	l.atCall(call, func() error {
		met = true
		otherErr = live(other)
		return nil
	})
	oneErr := live(one)
	l.Fail = nil
	nodes, err := l.Nodes(t.Context(), provider.Selector{nodespec.LabelCluster: "c"})
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(nodes, func(n provider.Node) bool { return n.State != nodes[0].State }) || len(nodes) != 3 {
		t.Errorf("%v and %v leave %+v", oneErr, otherErr, nodes)
	}
	if oneErr != nil && otherErr != nil {
		t.Errorf("both fail: %v, %v", oneErr, otherErr)
	}
	return met
}

func TestStopAgainstNodeAdd(t *testing.T) {
	for _, step := range AddSteps() {
		t.Run("a stop at "+step, func(t *testing.T) {
			g := grow(t, 1)
			tried := false
			_, err := g.add(t.Context(), AddOptions{OnStep: func(ctx context.Context, name string) {
				if name != step {
					return
				}
				tried = true
				before := lives(g.machinesNow(t))
				for verb := range lifeWorks {
					_, err := g.m.Life(ctx, LifeOptions{Verb: verb, Cluster: "c", Nodes: []string{"c-control-plane-1"}, Force: true})
					refusedBy(t, err, `nodes are being added to cluster "c" by process`)
				}
				if diff := cmp.Diff(before, lives(g.machinesNow(t))); diff != "" {
					t.Error(diff)
				}
			}})
			if err != nil || !tried {
				t.Errorf("tried %v, %v", tried, err)
			}
		})
	}
	t.Run("an add at a stop", func(t *testing.T) {
		g := grow(t, 1)
		tried := 0
		_, err := g.m.Life(t.Context(), LifeOptions{Verb: Stop, Cluster: "c", OnStep: func(ctx context.Context, _ string) {
			tried++
			_, err := g.add(ctx, AddOptions{})
			refusedBy(t, err, `machines of cluster "c" are being stopped by process`)
			_, err = g.remove(ctx, RemoveOptions{Nodes: []string{"c-worker-1"}})
			if err == nil {
				t.Error("a node is removed")
			}
		}})
		if err != nil || tried == 0 {
			t.Errorf("tried %d times, %v", tried, err)
		}
		if left := g.machinesNow(t); len(left) != 2 {
			t.Errorf("left: %v", lives(left))
		}
	})
}

// lives are machines with their states.
func lives(nodes []provider.Node) []string {
	var out []string
	for _, n := range nodes {
		out = append(out, n.Name+" "+string(n.State))
	}
	return out
}

// TestQuorumAgainstTwoStops: each of two stops leaves a majority, but both do not.
func TestQuorumAgainstTwoStops(t *testing.T) {
	l := newLiving(t, three)
	_, err := l.m.Life(t.Context(), LifeOptions{Verb: Stop, Cluster: "c", Nodes: []string{"c-1"}, OnStep: func(ctx context.Context, _ string) {
		_, err := l.m.Life(ctx, LifeOptions{Verb: Stop, Cluster: "c", Nodes: []string{"c-2"}})
		refusedBy(t, err, `machines of cluster "c" are being stopped`)
	}})
	if now := l.states(t); err != nil || now != "c-1 stopped, c-2 running, c-3 running, c-lb running" {
		t.Errorf("%s, %v", now, err)
	}
}

// TestDeleteAgainstLife: a delete wins over whoever only stops or starts machines.
func TestDeleteAgainstLife(t *testing.T) {
	for verb, w := range lifeWorks {
		t.Run(string(verb), func(t *testing.T) {
			l := newLab(t)
			aCluster(t, l)
			m := l.manager(t, l)
			nodes, err := m.existing(t.Context(), "c")
			if err != nil {
				t.Fatal(err)
			}
			_, unlock, err := m.lock(t.Context(), w, "c", nodes, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			if err := deleteC(t, l, l); err != nil {
				t.Error(err)
			}
			l.checkGone(t, "c")
			unlock()
			l.checkGone(t, "c")
		})
	}
}

// TestLifeLeavesNoLock also where the verb is refused or interrupted, or the cluster has
// never become ready.
func TestLifeLeavesNoLock(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(t *testing.T, l *living)
		opt     LifeOptions
		code    int
	}{
		"refused": {func(*testing.T, *living) {}, LifeOptions{Verb: Stop, Nodes: []string{"c-1", "c-2"}}, failure.CodeHost},
		"never made": {func(t *testing.T, l *living) {
			t.Helper()
			if err := l.Exec(t.Context(), "c-1", provider.Command{Args: []string{"rm", nodespec.ReadyFile}}); err != nil {
				t.Log(err)
			}
		}, LifeOptions{Verb: Stop}, 0},
		"an image that has gone": {func(t *testing.T, l *living) {
			t.Helper()
			if err := l.RemoveImage(t.Context(), testImage); err != nil {
				t.Fatal(err)
			}
		}, LifeOptions{Verb: Stop}, 0},
		"a disk that is full": {func(_ *testing.T, l *living) {
			l.Fail = func(op, name string) error {
				if op == "CreateNode" {
					return fmt.Errorf("creating node %q: %w", name, provider.ErrNoSpace)
				}
				return nil
			}
		}, LifeOptions{Verb: Stop}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLiving(t, three)
			test.prepare(t, l)
			if _, err := l.do(t, test.opt); failure.Code(err) != test.code {
				t.Errorf("code %d, %v", failure.Code(err), err)
			}
			if l.locked(t.Context(), t) {
				t.Error("the lock is left")
			}
		})
	}
}
