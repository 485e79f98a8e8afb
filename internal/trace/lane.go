package trace

import (
	"sync"
	"time"
)

// Lane is one that shows what something is at: it is always at one thing, and
// each begins when the one before it ends. Its methods may be called at once.
type Lane struct {
	r           *Recorder
	kind        Kind
	track, lane string

	mu  sync.Mutex
	now Span // Name is "" when it is at nothing
}

// NewLane returns a lane that is at nothing; nil for a nil recorder, on which
// all methods do nothing.
func (r *Recorder) NewLane(kind Kind, track, lane string) *Lane {
	if r == nil {
		return nil
	}
	return &Lane{r: r, kind: kind, track: track, lane: lane}
}

// Set says that it is at name since at; nothing changes if it was so already.
func (l *Lane) Set(name string, at time.Time) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if name == l.now.Name {
		return
	}
	l.close(at)
	l.now = Span{Kind: l.kind, Track: l.track, Lane: l.lane, Name: name, Start: at}
}

// Reach says that it has come to name, which is no state that lasts, but an
// event that others may have waited for.
func (l *Lane) Reach(name string, at time.Time) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.close(at)
	l.r.Add(Span{Kind: Detail, Track: l.track, Lane: l.lane, Name: name, Start: at, End: at})
}

// Note is Reach for what explains nothing; what it is at goes on.
func (l *Lane) Note(name string, at time.Time) {
	if l == nil {
		return
	}
	l.r.Add(Span{Kind: State, Track: l.track, Lane: l.lane, Name: name, Start: at, End: at})
}

// End ends what it is at.
func (l *Lane) End(at time.Time) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.close(at)
}

// close records what it was at. l.mu is held.
func (l *Lane) close(at time.Time) {
	if l.now.Name != "" {
		l.now.End = at
		l.r.Add(l.now)
	}
	l.now = Span{}
}
