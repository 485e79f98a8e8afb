package status

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Verbosity is how much is told.
type Verbosity int

// The verbosities, from flags -q and -v.
const (
	Quiet Verbosity = iota - 1
	Normal
	Verbose
)

// Options of a Display.
type Options struct {
	Out io.Writer
	// Terminal asks for the live display; see Smart.
	Terminal bool
	// Width gives the terminal's columns now; nil for 80.
	Width func() int
	// Color allows colours (on a terminal).
	Color     bool
	Verbosity Verbosity
}

// Display is the Reporter for people. Close it before anything else is written
// to Out.
type Display struct {
	opt Options

	mu     sync.Mutex
	screen Screen
	active []*step // in order of start, parents before their parts
	closed bool

	stop func() // ends the refreshing
}

var _ Reporter = (*Display)(nil)

// Refresh intervals: a spinner must look alive, a log only be alive.
const (
	terminalTick = 100 * time.Millisecond
	plainTick    = time.Second
)

// New starts a display.
func New(opt Options) *Display {
	d := &Display{opt: opt, stop: func() {}, screen: Screen{Out: opt.Out, Terminal: opt.Terminal, Width: opt.Width, Color: opt.Color}}
	if opt.Verbosity == Quiet {
		return d
	}
	every := plainTick
	if opt.Terminal {
		every = terminalTick
	}
	d.stop = Every(every, d.refresh)
	return d
}

// Close ends the display and wipes its live part. Later calls tell nobody.
func (d *Display) Close() {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return
	}
	d.closed = true
	d.screen.Wipe()
	d.mu.Unlock()
	d.stop()
}

// Start begins a step.
func (d *Display) Start(name string, estimate time.Duration) func(error) {
	return d.Step(name, estimate).End
}

// Step begins a step.
func (d *Display) Step(name string, estimate time.Duration) Step {
	return d.begin(nil, name, estimate)
}

// Note prints a line that stays, unless the display is quiet.
func (d *Display) Note(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.line(fmt.Sprintf(format, args...))
}

// line prints whole lines above the live part. d.mu is held.
func (d *Display) line(text string) {
	if d.silent() {
		return
	}
	d.screen.Print(text)
	d.draw()
}

func (d *Display) silent() bool { return d.closed || d.opt.Verbosity == Quiet }

// refresh is one tick: a new frame on a terminal, signs of life elsewhere.
func (d *Display) refresh() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	d.screen.Next()
	if d.opt.Terminal {
		d.draw()
		return
	}
	now := time.Now()
	for _, s := range d.active {
		if now.Before(s.nextSign) || s.parts > 0 {
			continue
		}
		s.nextSign = now.Add(signEvery)
		d.screen.Print("· " + s.title() + ": " + s.state(now))
	}
}
