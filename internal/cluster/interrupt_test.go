package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

func TestCreateInterruptedAtEveryStep(t *testing.T) {
	for _, step := range Steps() {
		t.Run(step, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t)
				ctx, cancel := context.WithCancelCause(t.Context())
				opt := l.create(t, "c")
				opt.OnStep = func(_ context.Context, name string) {
					if name == step {
						cancel(failure.ErrInterrupted)
					}
				}
				if _, err := l.manager(t, l).Create(ctx, opt); !errors.Is(err, failure.ErrInterrupted) {
					t.Errorf("err = %v", err)
				}
				l.checkGone(t, "c")
			})
		})
	}
}

// walk calls f for each engine call of a create, with its number from 1 on. There are as
// many as a create that is left alone makes.
func walk(t *testing.T, f func(t *testing.T, l *lab, call int)) {
	t.Helper()
	calls := 0
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		before := len(l.Calls())
		if _, err := l.manager(t, l).Create(t.Context(), l.create(t, "c")); err != nil {
			t.Fatal(err)
		}
		calls = len(l.Calls()) - before
		l.checkWhole(t, "c")
	})
	for call := 1; call <= calls; call++ {
		t.Run(fmt.Sprint("call ", call), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, newLab(t), call) })
		})
	}
}

// atCall has then called before a call of the engine, counted from now on, once.
func (l *lab) atCall(call int, then func() error) {
	var mu sync.Mutex
	l.Fail = func(string, string) error {
		mu.Lock()
		call--
		now := call == 0
		mu.Unlock()
		if now {
			return then()
		}
		return nil
	}
}

func TestCreateInterruptedAtEveryCallOfTheEngine(t *testing.T) {
	walk(t, func(t *testing.T, l *lab, call int) {
		t.Helper()
		ctx, cancel := context.WithCancelCause(t.Context())
		l.atCall(call, func() error { cancel(failure.ErrInterrupted); return nil })
		_, err := l.manager(t, l).Create(ctx, l.create(t, "c"))
		l.Fail = nil
		if err == nil { // it came when all had been made
			l.checkWhole(t, "c")
			return
		}
		if !errors.Is(err, failure.ErrInterrupted) {
			t.Errorf("err = %v", err)
		}
		l.checkGone(t, "c")
	})
}

// doomed is an engine whose nodes say that their creator has died.
type doomed struct {
	provider.Provider
	by string
}

func (d doomed) CreateNode(ctx context.Context, spec provider.NodeSpec) (provider.Node, error) {
	spec.Labels[nodespec.LabelCreator] = d.by
	return d.Provider.CreateNode(ctx, spec)
}

// killCreate runs a create whose process dies before a call of the engine: none of what
// it does from then on has an effect. It says whether the create was complete by then.
func (l *lab) killCreate(t *testing.T, call int) (complete bool) {
	t.Helper()
	_, dead := creators(t)
	killed := errors.New("killed")
	ctx, cancel := context.WithCancelCause(t.Context())
	var once sync.Once
	var mu sync.Mutex
	l.Fail = func(string, string) error {
		mu.Lock()
		defer mu.Unlock()
		if call--; call > 0 {
			return nil
		}
		once.Do(func() { cancel(killed) })
		return killed
	}
	_, err := l.manager(t, doomed{l, dead.String()}).Create(ctx, l.create(t, "c"))
	l.Fail = nil
	return err == nil
}

func TestCreateKilledAtEveryCallOfTheEngine(t *testing.T) {
	t.Run("then delete", func(t *testing.T) {
		walk(t, func(t *testing.T, l *lab, call int) {
			t.Helper()
			l.killCreate(t, call)
			if _, err := l.manager(t, l).Delete(t.Context(), "c", l.config); err != nil {
				t.Error(err)
			}
			l.checkGone(t, "c")
		})
	})
	t.Run("then create", func(t *testing.T) {
		walk(t, func(t *testing.T, l *lab, call int) {
			t.Helper()
			l.killCreate(t, call)
			_, err := l.manager(t, l).Create(t.Context(), l.create(t, "c"))
			if exists := (*errExists)(nil); errors.As(err, &exists) {
				return // it was marked as made: a cluster that works, of which its user learns
			}
			if err != nil {
				t.Fatal(err)
			}
			l.checkWhole(t, "c")
		})
	})
}

func TestRollbackWaitsForAnEngineThatIsRestarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		var mu sync.Mutex // nodes are made side by side
		down := 0
		l.Fail = func(op, _ string) error {
			mu.Lock()
			defer mu.Unlock()
			if op == "StartNode" || down > 0 && down < 10 {
				down++
				return fmt.Errorf("restarting: %w", provider.ErrUnavailable)
			}
			return nil
		}
		opt := l.create(t, "c")
		_, err := l.manager(t, l).Create(t.Context(), opt)
		if !errors.Is(err, provider.ErrUnavailable) || strings.Contains(err.Error(), "rolling back") {
			t.Errorf("err = %v", err)
		}
		l.checkGone(t, "c")
	})
}

func TestRollbackGivesUpOnAnEngineThatStaysAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		var down atomic.Bool
		l.Fail = func(op, _ string) error {
			if op == "StartNode" {
				down.Store(true)
			}
			if down.Load() {
				return provider.ErrUnavailable
			}
			return nil
		}
		_, err := l.manager(t, l).Create(t.Context(), l.create(t, "c"))
		if err == nil || !strings.Contains(err.Error(), "kluster delete c goes on with it") {
			t.Errorf("err = %v", err)
		}
		l.Fail = nil
		if !slices.Contains(leftovers(t, l, "c"), "node c-lb") {
			t.Error("the test is not one: nothing was left")
		}
	})
}
