// Package watch follows a cluster during a run, beside the specs: when a node was
// not Ready, and when the API did not answer. A spec that fails in such a time has
// failed for another reason than its own, and a cluster whose API stays away is
// lost to the run.
package watch

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kluster-project/kluster/e2e/report"
)

const (
	// every is how often the API is asked whether it is ready, and how long after a
	// watch has broken off another is begun.
	every = time.Second
	// patience is how long it may take to answer: a machine full of specs is slow.
	patience = 5 * time.Second
	// shortest is the shortest gap that is told.
	shortest = 2 * time.Second
	// lostAfter is how long the API, or a node, may stay away. What was killed and comes
	// back by itself is back within a minute or two, also on a slow machine; and most of
	// what Kubernetes' specs wait for they give up after five minutes, so that nothing
	// that still runs then can pass.
	lostAfter = 5 * time.Minute
)

// Options of a watch.
type Options struct {
	Cluster string // its name
	Config  *rest.Config
	// Tell is called with each incident when it is over, or with ctx if it is not;
	// not twice at once.
	Tell func(report.Incident)
	// Lost is called with the reason when the API has stayed away for longer than
	// LostAfter (0 for five minutes), at most once. With AllNodes it is so too when a
	// node has: Kubernetes' specs wait seven minutes for all of them, each, and fail.
	Lost      func(error)
	LostAfter time.Duration
	AllNodes  bool
}

// filled is o with what was left out.
func (o Options) filled() Options {
	lost := o.Lost
	var once sync.Once
	o.Lost = func(err error) {
		if lost != nil {
			once.Do(func() { lost(err) })
		}
	}
	o.LostAfter = cmp.Or(o.LostAfter, lostAfter)
	return o
}

// Cluster follows one until ctx ends.
func Cluster(ctx context.Context, o Options) error {
	asking, watching := rest.CopyConfig(o.Config), rest.CopyConfig(o.Config)
	asking.Timeout = patience
	// A gap is one of the API, not of our own limits.
	asking.QPS, watching.QPS = -1, -1
	ask, err := kubernetes.NewForConfig(asking)
	if err != nil {
		return fmt.Errorf("making a client of the API: %w", err)
	}
	watch, err := kubernetes.NewForConfig(watching)
	if err != nil {
		return fmt.Errorf("making a client of the API: %w", err)
	}
	o = o.filled()
	a := &api{Options: o, teller: &teller{tell: o.Tell}}
	var group sync.WaitGroup
	group.Go(func() { a.follow(ctx, ask) })
	group.Go(func() { followNodes(ctx, watch, a) })
	group.Wait()
	return nil
}

// teller makes incidents, one at a time.
type teller struct {
	mu   sync.Mutex
	tell func(report.Incident)
}

// lasted tells what began at from and, unless it still goes on, ended at to.
func (t *teller) lasted(what, why string, from, to time.Time, over bool) {
	text := fmt.Sprintf("%s for %s, from %s to %s", what, to.Sub(from).Round(100*time.Millisecond), clock(from), clock(to))
	if !over {
		text += ", when the run ended"
	}
	if why = strings.Join(strings.Fields(why), " "); why != "" {
		text += ": " + why
	}
	t.say(from, text)
}

func (t *teller) say(at time.Time, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tell(report.Incident{Time: at, Text: text})
}

// clock is a time of day in UTC, as nodes' journals have it.
func clock(t time.Time) string { return t.UTC().Format("15:04:05") }
