package runner

import (
	"context"
	"errors"
	"sync"

	"github.com/kluster-project/kluster/e2e/event"
	"github.com/kluster-project/kluster/e2e/report"
)

// beside is Options.Beside, from the first round's beginning to the run's end. It
// goes on while an interrupted suite cleans up.
type beside struct {
	begin  func() // the first call counts
	cancel context.CancelFunc
	group  sync.WaitGroup
	errs   []error
}

func (r *run) newBeside(ctx context.Context) *beside {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	b := &beside{cancel: cancel}
	b.begin = sync.OnceFunc(func() {
		if r.Beside != nil {
			b.group.Go(func() { r.Beside(ctx, func(i report.Incident) { b.errs = append(b.errs, r.incident(0, i)) }) })
		}
	})
	return b
}

// end waits for the end, and gives what could not be written down.
func (b *beside) end() error {
	b.cancel()
	b.group.Wait()
	return errors.Join(b.errs...)
}

// incident is told to everybody. proc is the process of the suite that died, 0
// for other incidents.
func (r *run) incident(proc int, i report.Incident) error {
	r.Watch.Incident(r.Cluster, i.Text)
	return r.write(entry{Event: event.Event{Time: i.Time, Kind: kindIncident, Proc: proc, Message: i.Text}})
}
