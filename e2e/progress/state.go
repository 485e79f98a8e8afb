package progress

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/kluster-project/kluster/e2e/event"
	"github.com/kluster-project/kluster/e2e/runner"
	"github.com/kluster-project/kluster/e2e/timings"
)

// state is how far a run is.
type state struct {
	started time.Time
	known   map[string]float64 // seconds by spec
	specs   map[string]*spec
	procs   map[string]int // by cluster
	heard   bool           // the suite tells what its specs do

	// What ended specs took, and what they were expected to.
	took, expected float64
}

// spec is a spec that was begun or waits.
type spec struct {
	name, cluster string
	serial        bool
	phase         phase
	since         time.Time // with running and failing
	failed        bool      // it did in some attempt
	result        string    // ginkgo's word for the last attempt, "" if its process died
}

type phase int

const (
	waiting phase = iota
	running
	failing // its evidence is being collected
	ended
)

func newState(known map[string]float64) *state {
	return &state{started: time.Now(), known: known, specs: map[string]*spec{}, procs: map[string]int{}}
}

// begin takes in what will run.
func (s *state) begin(b runner.Begin) {
	s.procs[b.Cluster] = b.Procs
	for _, planned := range b.Specs {
		before := s.specs[planned.Name]
		now := &spec{name: plain(planned.Name), cluster: b.Cluster, serial: planned.Serial || b.Round > 0}
		if before != nil {
			now.failed = before.failed
		}
		s.specs[planned.Name] = now
	}
}

// event takes in what a spec did, and gives the spec.
func (s *state) event(cluster string, e event.Event) *spec {
	s.heard = true
	sp := s.specs[e.Spec]
	if sp == nil {
		sp = &spec{name: plain(e.Spec)}
		s.specs[e.Spec] = sp
	}
	sp.cluster = cluster
	switch e.Kind {
	case event.Start:
		sp.phase, sp.since = running, time.Now()
	case event.Failing:
		sp.phase = failing
	case event.End:
		sp.phase, sp.result = ended, e.State
		sp.failed = sp.failed || runner.Failed(e.State)
		if known, ok := s.known[e.Spec]; ok && e.State == "passed" {
			s.took, s.expected = s.took+e.Seconds, s.expected+known
		}
	}
	return sp
}

// counts of specs.
type counts struct{ total, done, failed, flaky, skipped, lost, running int }

func (s *state) counts() counts {
	c := counts{total: len(s.specs)}
	for _, sp := range s.specs {
		switch sp.phase {
		case running, failing:
			c.running++
		case ended:
			if sp.result == "interrupted" {
				continue
			}
			c.done++
			switch {
			case sp.failed && sp.result == "passed":
				c.flaky++
			case sp.failed:
				c.failed++
			case sp.result == "skipped":
				c.skipped++
			case sp.result == "":
				c.lost++
			}
		}
	}
	return c
}

// running are the specs that run, the longest first.
func (s *state) running() []*spec {
	var out []*spec
	for _, sp := range s.specs {
		if sp.phase == running || sp.phase == failing {
			out = append(out, sp)
		}
	}
	slices.SortFunc(out, func(a, b *spec) int {
		return cmp.Or(a.since.Compare(b.since), strings.Compare(a.name, b.name))
	})
	return out
}

// left is how long the run still takes; 0 if too little is known.
func (s *state) left(now time.Time) time.Duration {
	scale := 1.0
	if s.expected > 60 { // enough to tell a slow machine from a fast one
		scale = min(max(s.took/s.expected, 0.5), 3)
	}
	work := map[string]*timings.Work{}
	known, unknown := 0, 0
	for name, sp := range s.specs {
		if sp.phase == ended {
			continue
		}
		w := work[sp.cluster]
		if w == nil {
			w = &timings.Work{Procs: s.procs[sp.cluster]}
			work[sp.cluster] = w
		}
		seconds, ok := s.known[name]
		if ok {
			known++
		} else {
			unknown++
			seconds = timings.Unknown
		}
		seconds *= scale
		switch {
		case sp.phase != waiting:
			w.Running = append(w.Running, max(0, seconds-now.Sub(sp.since).Seconds()))
		case sp.serial:
			w.Serial = append(w.Serial, seconds)
		default:
			w.Parallel = append(w.Parallel, seconds)
		}
	}
	var longest time.Duration
	if known >= unknown {
		for _, w := range work {
			longest = max(longest, w.Left())
		}
	}
	return longest
}
