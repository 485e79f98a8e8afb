package e2e

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/e2e/watch"
)

// watch follows all clusters, and ends the run on one whose API stays away. It does
// not end with ctx: specs still clean up then, and what happens to their clusters
// explains how they end. The function that it returns ends it and gives what
// happened.
func (r *run) watch(ctx context.Context) (stop func() []report.Incident) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var mu sync.Mutex
	var incidents []report.Incident
	var group sync.WaitGroup
	for _, t := range r.clusters {
		show := func(text string) {
			if r.shown != nil {
				r.shown.Incident(t.name, text)
			}
		}
		tell := func(i report.Incident) {
			mu.Lock()
			defer mu.Unlock()
			incidents = append(incidents, i)
			show(i.Text)
		}
		var lose func(error)
		lose, t.bound = losing()
		o := watch.Options{
			Cluster: t.name, Several: len(r.clusters) > 1, Config: t.config, Tell: tell, LostAfter: r.LostAfter,
			Lost: func(err error) { show(err.Error()); lose(err) },
		}
		group.Go(func() {
			if err := watch.Cluster(ctx, o); err != nil && ctx.Err() == nil {
				tell(report.Incident{Time: time.Now(), Text: fmt.Sprintf("cluster %s was not watched: %v", t.name, err)})
			}
		})
	}
	return func() []report.Incident {
		cancel()
		group.Wait()
		return incidents
	}
}

// losing gives the two ends of a cluster's loss: what tells of it, with the cause,
// and what bounds a context by it.
func losing() (lose func(error), bound func(context.Context) (context.Context, context.CancelFunc)) {
	lost, lose := context.WithCancelCause(context.Background())
	return lose, func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancelCause(ctx)
		stop := context.AfterFunc(lost, func() { cancel(context.Cause(lost)) })
		return ctx, func() {
			stop()
			cancel(nil)
		}
	}
}
