package harness

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"
)

// counted is a Counter on an API that can go away and forget.
type counted struct {
	*Counter
	t   *testing.T
	api *fake.Clientset

	mu sync.Mutex
	// A broken verb ("get") fails, and a mute one is done without an answer.
	broken, mute string
}

// becomes breaks a verb or makes one mute; "" for none.
func (c *counted) becomes(broken, mute string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken, c.mute = broken, mute
}

// count runs a Counter for ten writes and half the time to the next, and then what a
// test does to it.
func count(t *testing.T, do func(c *counted)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := &counted{t: t, api: fake.NewClientset()}
		c.Counter = &Counter{ns: "x", client: c.api, reader: c.api}
		c.api.PrependReactor("*", "configmaps", c.react)
		if err := c.create(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); c.run(ctx) }()
		c.goOn(time.Second + countEvery/2)
		do(c)
		stop()
		<-done
	})
}

// goOn lets time pass.
func (c *counted) goOn(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (c *counted) react(a ktesting.Action) (bool, runtime.Object, error) {
	c.mu.Lock()
	broken, mute := c.broken, c.mute
	c.mu.Unlock()
	switch a.GetVerb() {
	case broken:
		return true, nil, errors.New("away")
	case mute:
		update := a.(ktesting.UpdateAction)
		if err := c.api.Tracker().Update(update.GetResource(), update.GetObject(), update.GetNamespace()); err != nil {
			return true, nil, err
		}
		return true, nil, errors.New("no answer")
	}
	return false, nil, nil
}

// store puts another number in the place of what was written.
func (c *counted) store(n string) {
	c.t.Helper()
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: counterName}, Data: map[string]string{counterKey: n}}
	if _, err := c.api.CoreV1().ConfigMaps(c.ns).Update(c.t.Context(), cm, metav1.UpdateOptions{}); err != nil {
		c.t.Fatal(err)
	}
}

// says checks the figures and the error, "" for none.
func (c *counted) says(want Writes, problem string) {
	c.t.Helper()
	got, err := c.verify(c.t.Context())
	if got != want {
		c.t.Errorf("got %+v, want %+v", got, want)
	}
	if (err != nil) != (problem != "") || err != nil && !strings.Contains(err.Error(), problem) {
		c.t.Errorf("err = %v, want %q", err, problem)
	}
}

func TestCounterCounts(t *testing.T) {
	count(t, func(c *counted) {
		c.says(Writes{Acknowledged: 10, Gap: countEvery}, "")
		c.Mark()
		c.goOn(2 * time.Second)
		c.says(Writes{Acknowledged: 20, Gap: countEvery}, "")
		if all := c.Acknowledged(); all != 30 {
			c.t.Errorf("%d in all", all)
		}
	})
}

func TestCounterNoticesLostWrites(t *testing.T) {
	for name, stored := range map[string]string{"at once": "3", "all": "0", "unreadable": "x"} {
		t.Run(name, func(t *testing.T) {
			count(t, func(c *counted) {
				c.store(stored)
				if _, err := c.verify(c.t.Context()); err == nil {
					c.t.Error("nobody noticed")
				}
			})
		})
	}
	t.Run("and counts on", func(t *testing.T) {
		count(t, func(c *counted) {
			c.store("3")
			c.goOn(2 * time.Second)
			c.says(Writes{Acknowledged: 30, Gap: countEvery}, "10 was acknowledged, and 3 is stored")
		})
	})
}

func TestCounterWithoutAnswers(t *testing.T) {
	count(t, func(c *counted) {
		c.becomes("", "update")
		c.goOn(time.Second)
		c.becomes("", "")
		c.says(Writes{Acknowledged: 10, Unanswered: 10, Gap: time.Second + countEvery/2}, "")
		c.goOn(time.Second)
		c.says(Writes{Acknowledged: 20, Unanswered: 10, Gap: time.Second + countEvery}, "")
		c.store("32")
		c.says(Writes{Acknowledged: 20, Unanswered: 10, Gap: time.Second + countEvery}, "32 is stored, and at most 31 was written")
	})
}

// TestCounterSeesAnOutageThatLasts: the time since the last acknowledgement counts.
func TestCounterSeesAnOutageThatLasts(t *testing.T) {
	count(t, func(c *counted) {
		c.Mark()
		c.becomes("get", "")
		c.goOn(3 * time.Second)
		c.becomes("", "")
		c.says(Writes{Gap: 3 * time.Second}, "")
		if times := c.complaints()["away"]; times != 30 {
			c.t.Errorf("%d errors", times)
		}
	})
}
