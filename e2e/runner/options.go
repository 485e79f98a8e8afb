package runner

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/kluster-project/kluster/e2e/event"
	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/internal/failure"
)

// LogFile is the name of the suite's whole output in the folder of a report.
const LogFile = "e2e.log"

// Options of a run.
type Options struct {
	Program
	Suite   string // the suite's name in the report
	Cluster string // the name of the cluster that specs run on
	// Dir is the folder of the report, made if need be. It must not hold a
	// journal, unless Resume is set.
	Dir string
	// Resume takes up the run that Dir's journal tells of. With a Plan there need
	// be none: no spec of it has begun.
	Resume bool
	// Filter is what ginkgo shall pick.
	Filter report.Filter
	// Plan is what Filter picks, nil to ask the suite for it. With Exact its specs
	// are picked by name instead: they are a part of what Filter picks.
	Plan  *Plan
	Exact bool
	Procs int   // parallel processes, at most: no more than specs that can use them
	Seed  int64 // 0 for one of its own
	// Deadline is when the specs must have ended, those that are run again too;
	// zero for a day from now.
	Deadline time.Time
	// Grace is how long an interrupted suite may clean up, 0 for three minutes.
	Grace time.Duration
	// RerunFailed is how often specs that failed are run again, alone.
	RerunFailed int
	// Timings are seconds by spec, by which the longest start first.
	Timings map[string]float64
	// GinkgoFlags are further flags for ginkgo, as its CLI takes them: "--trace".
	GinkgoFlags []string
	// Evidence collects what explains a failure before the spec cleans up, and
	// gives a folder relative to Dir. It may be called from several goroutines.
	Evidence func(context.Context, event.Event) (string, error)
	// Clusters and Parts are what the run is made with, for its report.
	Clusters []report.Cluster
	Parts    []report.Part
	// Beside runs beside the specs until ctx ends, which it does with them, and
	// tells what went wrong meanwhile; nil for nothing.
	Beside func(ctx context.Context, tell func(report.Incident))
	// Watch hears what happens, nil for nobody.
	Watch Watch
	// Bound, if not nil, gives a context that ends also with what this part of a run
	// alone depends on, such as its cluster.
	Bound func(context.Context) (context.Context, context.CancelFunc)
	// Lock, if not nil, is a file whose lock is held until the suite has ended, also
	// when this process has ended before it.
	Lock *os.File
	// Kill ends the suite at once when it is closed, without cleaning up.
	Kill <-chan struct{}
}

// Watch hears what happens while it happens. Its methods may be called from
// several goroutines, and must not block.
type Watch interface {
	// Begin tells what is about to run.
	Begin(Begin)
	// Event is something that a spec did. An End without State is that of a spec
	// whose process died.
	Event(cluster string, e event.Event)
	// Incident is something that went wrong beside specs.
	Incident(cluster, text string)
}

// Begin is what is about to run.
type Begin struct {
	Cluster string
	Round   int // 0, then 1 and on for specs that had failed
	Procs   int
	Specs   []Spec
}

type deaf struct{}

func (deaf) Begin(Begin)               {}
func (deaf) Event(string, event.Event) {}
func (deaf) Incident(string, string)   {}

const (
	defaultTime  = 24 * time.Hour
	defaultGrace = 3 * time.Minute
)

// filled is o with what was left out.
func (o Options) filled() (Options, error) {
	switch {
	case o.Dir == "":
		return o, fmt.Errorf("no folder for the report was given")
	case o.Procs < 1:
		return o, failure.New(fmt.Sprintf("%d processes cannot run a suite", o.Procs), failure.Exit(failure.CodeUsage))
	case o.Exact && o.Plan == nil:
		return o, fmt.Errorf("specs to pick by name were not given")
	}
	var err error
	if o.Program, err = o.checked(o.Procs); err != nil {
		return o, err
	}
	if o.Seed == 0 {
		o.Seed = time.Now().Unix()
	}
	if o.Deadline.IsZero() {
		o.Deadline = time.Now().Add(defaultTime)
	}
	if o.Grace == 0 {
		o.Grace = defaultGrace
	}
	if o.Watch == nil {
		o.Watch = deaf{}
	}
	return o, nil
}
