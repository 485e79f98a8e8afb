package status

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Off a terminal a step that lasts shows a sign of life first after firstSign,
// then every signEvery.
const (
	firstSign = 15 * time.Second
	signEvery = 30 * time.Second
)

// ErrSkipped marks a step that ends with an error wrapping it as not needed
// instead of failed. Make one with Skip.
var ErrSkipped = errors.New("skipped")

// Skip is the error to end a step with that was not needed.
func Skip(reason string) error { return fmt.Errorf("%w: %s", ErrSkipped, reason) }

// step is a step of a Display; the display's lock guards it.
type step struct {
	d        *Display
	parent   *step
	name     string
	began    time.Time
	estimate time.Duration
	nextSign time.Time
	detail   string
	done     int64
	total    int64
	parts    int // steps of its own under way
	ended    bool
}

var _ Step = (*step)(nil)

func (d *Display) begin(parent *step, name string, estimate time.Duration) *step {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	s := &step{d: d, parent: parent, name: name, began: now, estimate: estimate, nextSign: now.Add(firstSign)}
	at := len(d.active)
	if parent != nil {
		parent.parts++
		at = d.after(parent)
	}
	d.active = slices.Insert(d.active, at, s)
	d.draw()
	return s
}

// after is the index behind parent and its parts.
func (d *Display) after(parent *step) int {
	at := len(d.active)
	for i, s := range d.active {
		if s == parent || s.within(parent) {
			at = i + 1
		}
	}
	return at
}

func (s *step) within(other *step) bool {
	for p := s.parent; p != nil; p = p.parent {
		if p == other {
			return true
		}
	}
	return false
}

func (s *step) depth() int {
	n := 0
	for p := s.parent; p != nil; p = p.parent {
		n++
	}
	return n
}

// title is the name with those of the steps it is part of.
func (s *step) title() string {
	if s.parent == nil {
		return s.name
	}
	return s.parent.title() + ": " + s.name
}

func (s *step) Start(name string, estimate time.Duration) func(error) {
	return s.Step(name, estimate).End
}

func (s *step) Step(name string, estimate time.Duration) Step { return s.d.begin(s, name, estimate) }

func (s *step) Note(format string, args ...any) { s.d.Note(format, args...) }

func (s *step) Progress(done, total int64) {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	s.done, s.total = done, total
}

func (s *step) Detail(text string) {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	s.detail = text
}

func (s *step) End(err error) {
	d := s.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.ended {
		return
	}
	s.ended = true
	if s.parent != nil {
		s.parent.parts--
	}
	d.active = slices.DeleteFunc(d.active, func(other *step) bool { return other == s })
	d.line(d.mark(err) + " " + s.title() + " (" + Short(time.Since(s.began)) + suffix(err) + ")")
}

// suffix is the reason why a step was skipped; the error of a failed one is
// printed once, by whoever ends the program.
func suffix(err error) string {
	if errors.Is(err, ErrSkipped) {
		return ", " + err.Error()
	}
	return ""
}

// state is the step's time, what is left, and what it is at.
func (s *step) state(now time.Time) string {
	text := Short(now.Sub(s.began))
	if s.total > 0 {
		text += fmt.Sprintf(", %d%%", min(100, 100*s.done/s.total))
	}
	if left, ok := s.left(now); ok {
		text += ", ~" + Short(left) + " left"
	}
	if s.detail != "" {
		text += ", " + s.detail
	}
	return text
}

// left estimates the time to go: from the progress once a tenth is done, else
// from the estimate given at the start.
func (s *step) left(now time.Time) (time.Duration, bool) {
	took := now.Sub(s.began)
	if s.total > 0 && s.done >= s.total/10 && s.done > 0 {
		if s.done >= s.total {
			return 0, false
		}
		return time.Duration(float64(took) * float64(s.total-s.done) / float64(s.done)), true
	}
	if left := s.estimate - took; left > 0 {
		return left, true
	}
	return 0, false
}
