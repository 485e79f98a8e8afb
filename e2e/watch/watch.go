// Package watch follows a cluster during a run, beside the specs: when a node was
// not Ready, and when the API did not answer. A spec that fails in such a time has
// failed for another reason than its own.
package watch

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/internal/wait"
)

const (
	// every is how often the API is asked whether it is ready, and how long after a
	// watch has broken off another is begun.
	every = time.Second
	// patience is how long it may take to answer: a machine full of specs is slow.
	patience = 5 * time.Second
	// shortest is the shortest gap that is told.
	shortest = 2 * time.Second
)

// Cluster follows one until ctx ends, and calls tell with each incident when it is
// over, or with ctx if it is not. tell is not called twice at once. name, where it
// is given, begins the incidents' texts: a run may be on several clusters.
func Cluster(ctx context.Context, name string, config *rest.Config, tell func(report.Incident)) error {
	asking, watching := rest.CopyConfig(config), rest.CopyConfig(config)
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
	t := &teller{tell: tell, prefix: name}
	var group sync.WaitGroup
	group.Go(func() { followAPI(ctx, ask, t) })
	group.Go(func() { followNodes(ctx, watch, t) })
	group.Wait()
	return nil
}

// teller makes incidents, one at a time.
type teller struct {
	prefix string

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
	if t.prefix != "" {
		text = t.prefix + ": " + text
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tell(report.Incident{Time: at, Text: text})
}

// clock is a time of day in UTC, as nodes' journals have it.
func clock(t time.Time) string { return t.UTC().Format("15:04:05") }

// followAPI asks the API whether it is ready, and tells of the times it was not.
func followAPI(ctx context.Context, client kubernetes.Interface, t *teller) {
	var since time.Time // zero while it answers
	var why error
	for {
		asked := time.Now()
		err := readyz(ctx, client)
		switch {
		case ctx.Err() != nil:
			if !since.IsZero() && asked.Sub(since) >= shortest {
				t.lasted("the API server was not ready", why.Error(), since, time.Now(), false)
			}
			return
		case err != nil && since.IsZero():
			since, why = asked, err
		case err != nil:
			why = err // the last says most: the first may be a connection that broke
		case !since.IsZero():
			if now := time.Now(); now.Sub(since) >= shortest {
				t.lasted("the API server was not ready", why.Error(), since, now, true)
			}
			since = time.Time{}
		}
		// An end of ctx is seen above, with what is still to be told.
		wait.For(ctx, every)
	}
}

// readyz is nil when the API server says that it is ready. What it says of the
// checks that failed is the error.
func readyz(ctx context.Context, client kubernetes.Interface) error {
	answer := client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx)
	err := answer.Error()
	if err == nil {
		return nil
	}
	body, _ := answer.Raw()
	var bad []string
	for line := range strings.Lines(string(body)) {
		if check, ok := strings.CutPrefix(strings.TrimSpace(line), "[-]"); ok {
			bad = append(bad, check)
		}
	}
	if len(bad) > 0 {
		return fmt.Errorf("%s", strings.Join(bad, ", "))
	}
	return err
}
