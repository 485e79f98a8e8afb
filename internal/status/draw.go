package status

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// maxLive is the most steps shown at once on a terminal.
const maxLive = 8

// Smart says whether w is a terminal that understands the live display.
// lookupEnv is os.LookupEnv.
func Smart(w any, lookupEnv func(string) (string, bool)) bool {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return false
	}
	name, _ := lookupEnv("TERM")
	return name != "" && name != "dumb"
}

// draw writes the live part. d.mu is held.
func (d *Display) draw() {
	if d.silent() {
		return
	}
	now := time.Now()
	var lines []string
	for i, s := range d.active {
		if i == maxLive {
			lines = append(lines, fmt.Sprintf("  and %d more", len(d.active)-maxLive))
			break
		}
		lines = append(lines, strings.Repeat("  ", s.depth())+d.screen.Spinner(i)+" "+s.name+" ("+s.state(now)+")")
	}
	d.screen.Draw(lines)
}

// mark is how a step ended, in one column.
func (d *Display) mark(err error) string {
	mark, color := "✓", "32"
	switch {
	case errors.Is(err, ErrSkipped):
		mark, color = "-", "2"
	case err != nil:
		mark, color = "✗", "31"
	}
	return d.screen.Paint(mark, color)
}

// Short renders a duration for people: 0.4s, 12s, 3m20s, 1h05m.
func Short(t time.Duration) string {
	switch {
	case t < 0:
		return "0.0s"
	case t < 10*time.Second:
		return fmt.Sprintf("%.1fs", t.Truncate(100*time.Millisecond).Seconds())
	case t < time.Minute:
		return fmt.Sprintf("%ds", int(t.Seconds()))
	case t < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(t.Minutes()), int(t.Seconds())%60)
	default:
		return fmt.Sprintf("%dh%02dm", int(t.Hours()), int(t.Minutes())%60)
	}
}
