// Package status tells a person what long work is doing: a live display on a
// terminal, one plain line per step elsewhere, each with the time it took and,
// for long steps, how long it may still take.
//
// Everything may be called from any number of goroutines at once.
package status

import "time"

// Reporter hears the steps of long work.
type Reporter interface {
	// Start begins a step and returns what ends it; only the first call of
	// done counts. The name says what is made or done, in a few words.
	// estimate is how long it will take, 0 if that is not known.
	Start(name string, estimate time.Duration) (done func(error))
	// Step is Start for a step that has progress or steps of its own.
	Step(name string, estimate time.Duration) Step
	// Note prints a line that stays.
	Note(format string, args ...any)
}

// Step is a step under way. Steps started on it are shown as parts of it.
type Step interface {
	Reporter
	// Progress says that done of total units (bytes, weights) are done. It
	// gives a better estimate than the one from the start.
	Progress(done, total int64)
	// Detail says in a few words what the step is at.
	Detail(text string)
	// End ends the step; only the first call counts.
	End(err error)
}

// Discard is a Reporter and Step that tells nobody.
var Discard Step = discard{}

type discard struct{}

func (discard) Start(string, time.Duration) func(error) { return func(error) {} }
func (discard) Step(string, time.Duration) Step         { return discard{} }
func (discard) Note(string, ...any)                     {}
func (discard) Progress(int64, int64)                   {}
func (discard) Detail(string)                           {}
func (discard) End(error)                               {}
