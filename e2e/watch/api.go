package watch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/kluster-project/kluster/internal/status"
	"github.com/kluster-project/kluster/internal/wait"
)

// api follows whether the API is ready: it tells of the times it was not, and of
// one that does not end.
type api struct {
	Options
	*teller

	since time.Time // zero while it is ready
	why   error

	mu    sync.Mutex
	broke time.Time // when a connection broke off, zero if none did
}

// brokeOff says that a connection to the API broke off. One that is made while it
// restarts may have to wait, but is then answered: behind a load balancer a question
// alone does not show that it was away.
func (a *api) brokeOff(at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.broke.IsZero() {
		a.broke = at
	}
}

// suspect has what broke off be the beginning of a time that it was not ready.
func (a *api) suspect() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.broke.IsZero() && a.since.IsZero() {
		a.since, a.why = a.broke, errors.New("its connections broke off")
	}
	a.broke = time.Time{}
}

func (a *api) follow(ctx context.Context, client kubernetes.Interface) {
	for {
		asked := time.Now()
		err := readyz(ctx, client)
		switch {
		case ctx.Err() != nil:
			a.told(asked, false)
			return
		case err == nil:
			a.suspect()
			a.told(time.Now(), true)
			a.since = time.Time{}
		default:
			a.away(asked, err)
		}
		// An end of ctx is seen above, with what is still to be told.
		wait.For(ctx, every)
	}
}

// away takes in that it was not ready when it was asked.
func (a *api) away(asked time.Time, err error) {
	if a.suspect(); a.since.IsZero() {
		a.since = asked
	}
	a.why = err // the last says most: the first may be a connection that broke
	if gone := time.Since(a.since); gone >= a.LostAfter {
		a.Lost(a.loss(gone))
	}
}

// loss is why a run on the cluster is of no use any more.
func (a *api) loss(gone time.Duration) error {
	how := "has not answered"
	if _, ok := errors.AsType[notReadyError](a.why); ok {
		how = "has not been ready"
	}
	return fmt.Errorf("the API of cluster %s %s since %s (%s): %w", a.Cluster, how, clock(a.since), status.Short(gone), a.why)
}

// told tells of the time that it was not ready, if there was one.
func (a *api) told(until time.Time, over bool) {
	if !a.since.IsZero() && until.Sub(a.since) >= shortest {
		a.lasted("the API server was not ready", a.why.Error(), a.since, until, over)
	}
}

// notReadyError is what an API server says that answers and is not ready.
type notReadyError string

func (e notReadyError) Error() string { return string(e) }

// readyz is nil when the API server says that it is ready, or refuses to say. What
// it says of the checks that failed is the error.
func readyz(ctx context.Context, client kubernetes.Interface) error {
	code := 0
	answer := client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).StatusCode(&code)
	err := answer.Error()
	if err == nil || code >= http.StatusBadRequest && code < http.StatusInternalServerError {
		return nil
	}
	body, _ := answer.Raw()
	var bad []string
	for line := range strings.Lines(string(body)) {
		if check, ok := strings.CutPrefix(strings.TrimSpace(line), "[-]"); ok {
			bad = append(bad, check)
		}
	}
	switch {
	case len(bad) > 0:
		return notReadyError(strings.Join(bad, ", "))
	case code >= http.StatusInternalServerError:
		return notReadyError(err.Error())
	default:
		return err
	}
}
