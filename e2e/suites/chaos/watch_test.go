package chaos_test

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

// watchEvery is how often members and nodes are looked at.
const watchEvery = 250 * time.Millisecond

// repeat does something again and again until ctx ends.
func repeat(ctx context.Context, do func(context.Context)) { repeatEvery(ctx, watchEvery, do) }

func repeatEvery(ctx context.Context, every time.Duration, do func(context.Context)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			do(ctx)
		}
	}
}

// etcdWatch asks every member of etcd whom it takes for the leader.
type etcdWatch struct {
	client    *harness.EtcdClient
	addresses map[string]string // of the control planes

	mu sync.Mutex
	// leaders are the members that led, of each term.
	leaders map[uint64]map[string]bool
}

// run asks all of them until ctx ends. A member that has just been elected gives the term
// of the last entry that it applied, which is still the one before: what it says
// counts when it says it twice.
func (w *etcdWatch) run(ctx context.Context) {
	var all sync.WaitGroup
	for name, address := range w.addresses {
		all.Go(func() {
			var last harness.EtcdStatus
			repeat(ctx, func(ctx context.Context) {
				now, err := w.client.Status(ctx, address)
				if err == nil && now.Leads() && last.Leads() && now.Term == last.Term {
					w.led(now.Term, name)
				}
				last = now
			})
		})
	}
	all.Wait()
}

func (w *etcdWatch) led(term uint64, name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.leaders[term] == nil {
		w.leaders[term] = map[string]bool{}
	}
	w.leaders[term][name] = true
}

// terms are how many there were with a leader, and the most leaders that one had.
func (w *etcdWatch) terms() (terms, most int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, names := range w.leaders {
		most = max(most, len(names))
	}
	return len(w.leaders), most
}

// leader is the control plane whose member leads; "" if none does.
func (w *etcdWatch) leader(ctx context.Context) string {
	for name, address := range w.addresses {
		if s, err := w.client.Status(ctx, address); err == nil && s.Leads() {
			return name
		}
	}
	return ""
}

// unfit says why etcd is not whole; "" if all members vote, agree on the leader, and none
// has an alarm.
func (w *etcdWatch) unfit(ctx context.Context) string {
	leaders := map[uint64]bool{}
	for name, address := range w.addresses {
		s, err := w.client.Status(ctx, address)
		switch {
		case err != nil:
			return name + ": " + err.Error()
		case s.Learner:
			return name + " is a learner"
		case s.Leader == 0:
			return name + " knows no leader"
		case len(s.Errors) > 0:
			return name + ": " + s.Errors[0]
		}
		leaders[s.Leader] = true
		if voters, learners, err := w.client.Voters(ctx, address); err != nil || voters != nodes || learners != 0 {
			return name + " does not know three voters"
		}
	}
	if len(leaders) != 1 {
		return "members do not agree on the leader"
	}
	return ""
}

// nodeWatch looks when nodes are said to be not Ready.
type nodeWatch struct {
	apis []kubernetes.Interface // asked in turn until one answers

	mu    sync.Mutex
	first map[string]time.Time
}

func (w *nodeWatch) run(ctx context.Context) {
	repeat(ctx, func(ctx context.Context) {
		for _, api := range w.apis {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			list, err := api.CoreV1().Nodes().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
			cancel()
			if err == nil {
				w.saw(list.Items)
				return
			}
		}
	})
}

func (w *nodeWatch) saw(list []corev1.Node) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range list {
		if _, ok := w.first[n.Name]; !ok && harness.NodeReady(n).Status != corev1.ConditionTrue {
			w.first[n.Name] = time.Now()
		}
	}
}
