// Package progress shows a run of a suite while it runs: on a terminal the specs
// that run with their age, how many are done and how long the rest will take;
// elsewhere a line every half minute. A failure is told at once in both.
package progress

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/kluster-project/kluster/e2e/event"
	"github.com/kluster-project/kluster/e2e/runner"
	"github.com/kluster-project/kluster/internal/status"
)

// Options of a Display.
type Options struct {
	Out io.Writer
	// Terminal asks for the live display; see status.Smart.
	Terminal bool
	// Width gives the terminal's columns now; nil for 80.
	Width func() int
	// Color allows colours (on a terminal).
	Color bool
	// Seconds is how long specs take, by name, as far as is known.
	Seconds map[string]float64
}

// Display shows a run. Close it before anything else is written to Out.
type Display struct {
	opt Options

	mu     sync.Mutex
	screen status.Screen
	state  *state
	closed bool

	stop func() // ends the refreshing
}

var _ runner.Watch = (*Display)(nil)

// Refresh intervals: on a terminal ages and spinners move, a log is only to be
// alive.
const (
	terminalTick = 200 * time.Millisecond
	plainTick    = 30 * time.Second
)

// maxRunning is the most specs shown at once on a terminal.
const maxRunning = 12

// New starts a display.
func New(opt Options) *Display {
	d := &Display{
		opt: opt, state: newState(opt.Seconds),
		screen: status.Screen{Out: opt.Out, Terminal: opt.Terminal, Width: opt.Width, Color: opt.Color},
	}
	every := plainTick
	if opt.Terminal {
		every = terminalTick
	}
	d.stop = status.Every(every, d.refresh)
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

// Begin tells what is about to run.
func (d *Display) Begin(b runner.Begin) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state.begin(b)
	on := ""
	if b.Cluster != "" {
		on = " on " + b.Cluster
	}
	if b.Round > 0 {
		d.line("running %s again%s, alone", specs(len(b.Specs), "failed "), on)
	} else {
		d.line("running %s%s, %d at once", specs(len(b.Specs), ""), on, b.Procs)
	}
}

// specs counts them in words.
func specs(n int, kind string) string {
	if n == 1 {
		return "1 " + kind + "spec"
	}
	return fmt.Sprintf("%d %sspecs", n, kind)
}

// Event takes in what a spec did.
func (d *Display) Event(cluster string, e event.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	sp := d.state.event(cluster, e)
	if e.Kind != event.End {
		return
	}
	took := status.Short(time.Duration(e.Seconds * float64(time.Second)))
	switch {
	case runner.Failed(e.State):
		d.line("%s %s (%s, %s): %s", d.screen.Paint("✗", "31"), sp.name, e.State, took, firstLine(e.Message))
	case sp.failed && e.State == "passed":
		d.line("%s %s (%s): passed when it was run again: flaky", d.screen.Paint("~", "33"), sp.name, took)
	case e.State == "skipped":
		d.line("%s %s: skipped: %s", d.screen.Paint("-", "2"), sp.name, firstLine(e.Message))
	}
}

// Incident takes in what went wrong beside specs.
func (d *Display) Incident(cluster, text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if cluster != "" {
		text = cluster + ": " + text
	}
	d.line("%s %s", d.screen.Paint("!", "33"), plain(text))
}

// Note prints a line that stays, above the live part.
func (d *Display) Note(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.line("%s", text)
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return plain(line)
}

// plain is text of a suite without what moves a terminal's cursor.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}

// refresh is one tick.
func (d *Display) refresh() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || len(d.state.specs) == 0 {
		return
	}
	d.screen.Next()
	if d.opt.Terminal {
		d.draw()
		return
	}
	now := time.Now()
	text := "· " + d.summary(now)
	if running := d.state.running(); len(running) > 0 {
		text += "; longest: " + running[0].name + " (" + status.Short(now.Sub(running[0].since)) + ")"
	}
	d.screen.Print(text)
}

// summary is how far the run is, in a line.
func (d *Display) summary(now time.Time) string {
	c := d.state.counts()
	age := status.Short(now.Sub(d.state.started))
	if !d.state.heard {
		return fmt.Sprintf("e2e %s: %s, none has begun as far as the suite tells", age, specs(c.total, ""))
	}
	parts := []string{fmt.Sprintf("%d of %d done", c.done, c.total)}
	for _, p := range []struct {
		n            int
		word, colour string
	}{{c.failed, "failed", "31"}, {c.flaky, "flaky", "33"}, {c.skipped, "skipped", "2"}, {c.lost, "lost", "31"}, {c.running, "running", ""}} {
		if p.n > 0 {
			parts = append(parts, d.screen.Paint(fmt.Sprintf("%d %s", p.n, p.word), p.colour))
		}
	}
	if left := d.state.left(now); left > 0 {
		parts = append(parts, "~"+status.Short(left)+" left")
	}
	return "e2e " + age + ": " + strings.Join(parts, ", ")
}

// line prints a line above the live part. d.mu is held.
func (d *Display) line(format string, args ...any) {
	if d.closed {
		return
	}
	d.screen.Print(fmt.Sprintf(format, args...))
	d.draw()
}

// draw writes the live part. d.mu is held.
func (d *Display) draw() {
	if d.closed {
		return
	}
	now := time.Now()
	lines := []string{d.screen.Spinner(0) + " " + d.summary(now)}
	running := d.state.running()
	for i, sp := range running {
		if i == maxRunning {
			lines = append(lines, fmt.Sprintf("  and %d more", len(running)-maxRunning))
			break
		}
		age := fmt.Sprintf("  %6s  ", status.Short(now.Sub(sp.since)))
		if sp.phase == failing {
			age += d.screen.Paint("failed, collecting evidence: ", "31")
		}
		lines = append(lines, age+sp.name)
	}
	d.screen.Draw(lines)
}
