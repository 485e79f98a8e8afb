package harness

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"

	"github.com/kluster-project/kluster/e2e/history"
)

// TestTraffic runs clients on an API that does every third write without saying so, and
// then on one that forgets.
func TestTraffic(t *testing.T) {
	for _, forgets := range []bool{false, true} {
		t.Run(fmt.Sprint("forgets ", forgets), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := fake.NewClientset()
				writes := 0
				api.PrependReactor("update", "configmaps", func(a ktesting.Action) (bool, runtime.Object, error) {
					update := a.(ktesting.UpdateAction)
					if writes++; writes%3 != 0 {
						return forgets && writes > 30, update.GetObject(), nil
					}
					return true, nil, errors.Join(errors.New("no answer"), api.Tracker().Update(update.GetResource(), update.GetObject(), update.GetNamespace()))
				})
				recorder := history.NewRecorder()
				ctx, stop := context.WithCancel(t.Context())
				keys := []string{"a", "b", "c"}
				for i, key := range keys {
					if err := createRegister(t.Context(), api, "x", key); err != nil {
						t.Fatal(err)
					}
					c := &trafficClient{
						Recorder: recorder, number: i, via: "lb", ns: "x", keys: keys, client: api, reconnect: func() {},
						known: map[string]*corev1.ConfigMap{},
					}
					go c.run(ctx)
				}
				time.Sleep(10*time.Second + countEvery/2)
				stop()
				synctest.Wait()
				ops := recorder.Ops()
				if tally := history.Count(ops, history.Window{To: recorder.Now()}); tally.Ops != 300 || tally.Writes < 90 || tally.Unknown < 45 {
					t.Errorf("%+v", tally)
				}
				if v := history.Check(ops, time.Minute); v.Right == forgets || v.Undecided {
					t.Errorf("right %t: %q", v.Right, v.Wrong)
				}
			})
		})
	}
}

// TestStepAside: who was too late at a key does not go to the next one, where the other goes.
func TestStepAside(t *testing.T) {
	api := fake.NewClientset()
	if err := createRegister(t.Context(), api, "x", "a"); err != nil {
		t.Fatal(err)
	}
	late := true
	api.PrependReactor("update", "configmaps", func(ktesting.Action) (bool, runtime.Object, error) {
		return late, nil, apierrors.NewConflict(schema.GroupResource{Resource: "configmaps"}, "a", errors.New("changed"))
	})
	for _, late = range []bool{true, false} {
		for range 20 {
			c := &trafficClient{
				Recorder: history.NewRecorder(), ns: "x", keys: []string{"a", "b", "c"}, client: api, reconnect: func() {},
				known: map[string]*corev1.ConfigMap{},
			}
			c.step(t.Context())
			c.step(t.Context())
			if aside := c.turn == 4 || c.turn == 6; aside != late || c.turn%2 != 0 {
				t.Fatalf("late %t: turn %d", late, c.turn)
			}
		}
	}
}

func TestOutcome(t *testing.T) {
	group := schema.GroupResource{Resource: "configmaps"}
	for name, c := range map[string]struct {
		err         error
		read, write history.Outcome
	}{
		"answered":   {nil, history.Done, history.Done},
		"timeout":    {context.DeadlineExceeded, history.Failed, history.Unknown},
		"not sent":   {fmt.Errorf("x: %w", &net.OpError{Op: "dial", Err: errors.New("refused")}), history.Failed, history.Failed},
		"cut off":    {&net.OpError{Op: "read", Err: errors.New("reset")}, history.Failed, history.Unknown},
		"overloaded": {apierrors.NewTooManyRequestsError("x"), history.Failed, history.Failed},
		"broken":     {apierrors.NewInternalError(errors.New("etcd")), history.Failed, history.Unknown},
		"conflict":   {apierrors.NewConflict(group, "x", errors.New("changed")), history.Conflict, history.Conflict},
	} {
		if got := outcome(c.err, false); got != c.read {
			t.Errorf("%s: a read is %s", name, got)
		}
		if got := outcome(c.err, true); got != c.write {
			t.Errorf("%s: a write is %s", name, got)
		}
	}
}
