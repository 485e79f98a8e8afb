package e2e

import (
	"context"
	"fmt"
	"time"

	"github.com/kluster-project/kluster/e2e/plan"
	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/e2e/runner"
	"github.com/kluster-project/kluster/e2e/watch"
)

// watch has a part of the run watch its cluster beside its specs, also while these
// clean up, since that explains how they end; and end when the cluster is lost.
func (r *run) watch(part *runner.Options, t *target) {
	var lose func(error)
	lose, part.Bound = losing()
	lost := func(err error) {
		if r.shown != nil {
			r.shown.Incident(t.name, err.Error())
		}
		lose(err)
	}
	part.Beside = func(ctx context.Context, tell func(report.Incident)) {
		o := watch.Options{
			Cluster: t.name, Config: t.config, Tell: tell,
			Lost: lost, LostAfter: r.LostAfter, AllNodes: r.suite.Program != plan.Package,
		}
		if err := watch.Cluster(ctx, o); err != nil && ctx.Err() == nil {
			tell(report.Incident{Time: time.Now(), Text: fmt.Sprintf("cluster %s was not watched: %v", t.name, err)})
		}
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
