// Package trace records what long work does and when, on this machine and on
// others that share its clock: spans with a start and an end. A trace is written
// as a Chrome trace, which Perfetto and chrome://tracing open, and summed up as
// the chain of spans that the end had to wait for.
//
// A nil *Recorder records nothing and costs next to nothing, so that callers
// need not ask whether anybody listens.
package trace

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// Kind says what a span can be in the chain that the end waited for.
type Kind int

// The kinds. A chain goes from steps to the acts within them to details.
const (
	// Detail is work seen inside a node or a cluster, or a part of an act.
	Detail Kind = iota
	// Step is a step of the plan.
	Step
	// Act is what this process does, or waits for, within a step.
	Act
	// State is how something looked from outside ("refuses connections"). It
	// is shown, but explains nothing, and so is in no chain.
	State
)

// kindNames are the categories of the spans in a written trace.
var kindNames = map[Kind]string{Detail: "detail", Step: "step", Act: "act", State: "state"}

// Tracks that are no node.
const (
	// Host is what this process does.
	Host = "host"
	// Cluster is what is seen of a cluster as a whole.
	Cluster = "cluster"
)

// Span is something that took from Start to End; an instant if they are equal.
type Span struct {
	Kind Kind
	// Track is the machine ("host", a node's name), and Lane what of it
	// ("plan", "kubelet"). On the host, a lane's first word is the name of the
	// node that it is about, or something else for what is about none.
	Track, Lane string
	Name        string
	// Within is the step that an act belongs to, "" where that is not known.
	Within     string
	Start, End time.Time
	Args       map[string]string
}

// Duration of the span.
func (s Span) Duration() time.Duration { return s.End.Sub(s.Start) }

// Recorder collects spans. All methods may be called at once, and on nil.
type Recorder struct {
	began time.Time

	mu      sync.Mutex
	ended   time.Time
	spans   []Span
	samples []sample
}

// New returns a recorder of what begins now.
func New() *Recorder { return &Recorder{began: time.Now()} }

// Add records spans. Those that end before they start, as clocks that were set
// in between make them, are kept as instants.
func (r *Recorder) Add(spans ...Span) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range spans {
		if s.End.Before(s.Start) {
			s.End = s.Start
		}
		r.spans = append(r.spans, s)
	}
}

// Instant records that something happened just now.
func (r *Recorder) Instant(track, lane, name string) {
	if r == nil {
		return
	}
	now := time.Now()
	r.Add(Span{Track: track, Lane: lane, Name: name, Start: now, End: now})
}

// Finish says that the work ends now; what is recorded after it, such as the
// gathering of spans, is not in the summary. Only the first call counts.
func (r *Recorder) Finish() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended.IsZero() {
		r.ended = time.Now()
	}
}

// Spans are copies of all spans so far, in the order they were added.
func (r *Recorder) Spans() []Span {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Span, len(r.spans))
	for i, s := range r.spans {
		s.Args = maps.Clone(s.Args)
		out[i] = s
	}
	return out
}

// cpu are the samples of the processors' use so far.
func (r *Recorder) cpu() []sample {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.samples)
}

// Window is when the work began and ended; it ends now if it is not finished.
func (r *Recorder) Window() (began, ended time.Time) {
	if r == nil {
		return time.Time{}, time.Time{}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended.IsZero() {
		return r.began, time.Now()
	}
	return r.began, r.ended
}
