package cluster

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	ktesting "k8s.io/client-go/testing"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

// locked says whether the cluster's lock is there.
func (s *swapping) locked(ctx context.Context, t *testing.T) bool {
	t.Helper()
	nodes, err := s.Nodes(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(nodes, func(n provider.Node) bool { return n.Name == LockName("c") })
}

// leaveLock is a swap that did not remove its lock.
func (s *swapping) leaveLock(t *testing.T, by creator, until time.Duration) {
	t.Helper()
	_, err := s.CreateNode(t.Context(), provider.NodeSpec{Name: LockName("c"), Image: testImage, Labels: map[string]string{
		nodespec.LabelCluster: "c", nodespec.LabelRole: string(nodespec.RoleLock), nodespec.LabelCreator: by.String(),
		lockLabel: "left", lockWorkLabel: swapWork.name, lockUntilLabel: time.Now().Add(until).Format(time.RFC3339),
	}})
	if err != nil {
		t.Fatal(err)
	}
}

// refused checks that an error tells of a swap under way, and what to do.
func refused(t *testing.T, err error) {
	t.Helper()
	if err == nil || failure.Code(err) != failure.CodeHost || len(failure.Hints(err)) == 0 ||
		!strings.Contains(err.Error(), `the container runtimes of cluster "c" are being swapped by process`) ||
		!strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("code %d, err = %v, hints %q", failure.Code(err), err, failure.Hints(err))
	}
}

func TestOneSwapOfAClusterAtATime(t *testing.T) {
	for _, step := range []string{"check", "runtime start", "uncordon"} {
		t.Run(step, func(t *testing.T) {
			s := newSwapping(t, three, pod("web", "c-1", "ReplicaSet"))
			if _, err := s.CreateNode(t.Context(), provider.NodeSpec{
				Name: "d-lb", Image: testImage, Labels: map[string]string{nodespec.LabelCluster: "d"},
			}); err != nil {
				t.Fatal(err)
			}
			tried := false
			_, err := s.swap(t.Context(), SwapOptions{Nodes: []string{"c-1"}, Runtime: "cri-o", OnStep: func(ctx context.Context, name string) {
				if name != step {
					return
				}
				tried = true
				before, commands, evicted := s.state(t), s.seen(), len(s.evicted)
				conf := filepath.Join(t.TempDir(), "config")
				_, err := s.swap(ctx, SwapOptions{Nodes: []string{"c-2"}, Runtime: "cri-dockerd"})
				refused(t, err)
				_, err = s.m.Delete(ctx, "c", conf)
				refused(t, err)
				gone, err := s.m.DeleteAll(ctx, conf)
				refused(t, err)
				if diff := cmp.Diff([]string{"d"}, gone); diff != "" {
					t.Errorf("deleted: %s", diff)
				}
				if diff := cmp.Diff(before, s.state(t)) + cmp.Diff(commands, s.seen()); diff != "" || len(s.evicted) != evicted {
					t.Errorf("changed: %s%q", diff, s.evicted[evicted:])
				}
				if infos, err := s.m.NodesNow(ctx, "c"); err != nil || len(infos) != 4 {
					t.Errorf("the lock is no machine: %+v, %v", infos, err)
				}
			}})
			if err != nil || !tried {
				t.Fatalf("tried %v, err = %v", tried, err)
			}
			if state := s.state(t); !strings.Contains(state, "c-1 cri-o") || !strings.Contains(state, "c-2 containerd") {
				t.Error(state)
			}
			// Both can be had now.
			if _, err := s.swap(t.Context(), SwapOptions{Nodes: []string{"c-2"}, Runtime: "cri-dockerd"}); err != nil {
				t.Error(err)
			}
			if _, err := s.m.Delete(t.Context(), "c", filepath.Join(t.TempDir(), "config")); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestLockThatASwapLeft(t *testing.T) {
	self, dead := creators(t)
	ended, elsewhere := self, self
	ended.Started = "1"
	elsewhere.PIDNamespace = "pid:[1]"
	for name, tt := range map[string]struct {
		by           creator
		until        time.Duration
		swap, delete bool // may go on
	}{
		"by a process that runs":                              {self, time.Hour, false, false},
		"by a process that runs and takes long":               {self, -time.Hour, false, false},
		"by a process that ended":                             {ended, time.Hour, true, true},
		"before the machine was started":                      {dead, time.Hour, true, true},
		"by a process that cannot be seen":                    {elsewhere, time.Hour, false, true},
		"by a process that cannot be seen, and is to be over": {elsewhere, -time.Second, true, true},
		"by nobody knows whom":                                {creator{}, time.Hour, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSwapping(t, three)
			s.leaveLock(t, tt.by, tt.until)
			before := s.state(t)
			_, err := s.swap(t.Context(), SwapOptions{Runtime: "cri-o"})
			if tt.swap {
				if err != nil || s.locked(t.Context(), t) {
					t.Errorf("locked %v, err = %v", s.locked(t.Context(), t), err)
				}
				s.leaveLock(t, tt.by, tt.until)
			} else {
				var now *underwayError
				if !errors.As(err, &now) || now.Hint() == "" {
					t.Errorf("err = %v", err)
				}
				if diff := cmp.Diff(before, s.state(t)); diff != "" || len(s.commands) > 0 || !s.locked(t.Context(), t) {
					t.Errorf("changed: %s%q", diff, s.commands)
				}
			}
			_, err = s.m.Delete(t.Context(), "c", filepath.Join(t.TempDir(), "config"))
			if (err == nil) != tt.delete || s.locked(t.Context(), t) == tt.delete {
				t.Errorf("delete: %v", err)
			}
		})
	}
}

func TestLockThatCannotBeHad(t *testing.T) {
	broken := errors.New("broken")
	for name, tt := range map[string]struct {
		prepare func(t *testing.T, s *swapping)
		want    error
	}{
		"its name is somebody else's": {func(t *testing.T, s *swapping) {
			t.Helper()
			if _, err := s.CreateNode(t.Context(), provider.NodeSpec{Name: LockName("c"), Image: testImage}); err != nil {
				t.Fatal(err)
			}
		}, provider.ErrNameTaken},
		"the image is gone": {func(t *testing.T, s *swapping) {
			t.Helper()
			if err := s.RemoveImage(t.Context(), testImage); err != nil {
				t.Fatal(err)
			}
		}, provider.ErrNotFound},
		"the engine fails": {func(_ *testing.T, s *swapping) {
			s.Fail = func(op, _ string) error {
				if op == "CreateNode" {
					return broken
				}
				return nil
			}
		}, broken},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSwapping(t, three)
			tt.prepare(t, s)
			before := s.state(t)
			if _, err := s.swap(t.Context(), SwapOptions{Runtime: "cri-o"}); !errors.Is(err, tt.want) || !strings.Contains(err.Error(), "nothing was changed") {
				t.Errorf("err = %v", err)
			}
			if diff := cmp.Diff(before, s.state(t)); diff != "" || len(s.commands) > 0 {
				t.Errorf("changed: %s%q", diff, s.commands)
			}
		})
	}
}

// TestSwapGoesOnWithoutItsUnlock: a lock that stays does no harm once its process ends.
func TestSwapGoesOnWithoutItsUnlock(t *testing.T) {
	s := newSwapping(t, three)
	s.Fail = func(op, _ string) error {
		if op == "Remove" {
			return errors.New("broken")
		}
		return nil
	}
	if _, err := s.swap(t.Context(), SwapOptions{Runtime: "cri-o"}); err != nil || !s.locked(t.Context(), t) {
		t.Errorf("locked %v, err = %v", s.locked(t.Context(), t), err)
	}
}

// TestUnlockOfALockThatAnotherHas: two changes may clear away the same lock of a dead one.
func TestUnlockOfALockThatAnotherHas(t *testing.T) {
	s := newSwapping(t, three)
	self, _ := creators(t)
	s.leaveLock(t, self, time.Hour)
	s.m.removeLock(t.Context(), "c", "another")
	if !s.locked(t.Context(), t) {
		t.Error("it is gone")
	}
}

func TestNodeThatIsNamedTwice(t *testing.T) {
	s := newSwapping(t, three)
	got, err := s.swap(t.Context(), SwapOptions{Nodes: []string{"c-2", "c-2"}, Runtime: "cri-o"})
	if err != nil || len(got) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestSwapOfASilentCluster: the look before anything is touched has an end too.
func TestSwapOfASilentCluster(t *testing.T) {
	s := newSwapping(t, three)
	s.client.PrependReactor("get", "nodes", func(ktesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewServiceUnavailable("no quorum")
	})
	_, err := s.swap(t.Context(), SwapOptions{Runtime: "cri-o", Timeout: 100 * time.Millisecond})
	var late *lateSwapError
	if !errors.As(err, &late) || len(s.commands) > 0 {
		t.Errorf("err = %v, commands %q", err, s.commands)
	}
}

// TestWorks: whoever is turned away is told by what, and what an interruption brings.
func TestWorks(t *testing.T) {
	for _, w := range append(slices.Clone(works), workNamed("of tomorrow")) {
		e := &underwayError{cluster: "c", work: w, by: creator{PID: 7}, seen: true}
		if text := e.Error(); !strings.Contains(text, `cluster "c"`) || !strings.Contains(text, "by process 7") || !strings.Contains(e.Hint(), w.end) || w.end == "" {
			t.Errorf("%s: %s; %s", w.name, text, e.Hint())
		}
		if slices.Contains(works, w) && workNamed(w.name) != w {
			t.Errorf("%s is not found by its name", w.name)
		}
	}
}
