package status

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// maxLive is the most steps shown at once on a terminal.
const maxLive = 8

// frames of the spinner: braille dots, one column wide everywhere.
var frames = [...]string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}

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

// wipe removes the live part from the terminal. d.mu is held.
func (d *Display) wipe() {
	if d.drawn == 0 {
		return
	}
	d.write(fmt.Sprintf("\x1b[%dA\r\x1b[J", d.drawn))
	d.drawn = 0
}

// draw writes the live part. d.mu is held.
func (d *Display) draw() {
	if !d.opt.Terminal || d.silent() {
		return
	}
	now, width := time.Now(), d.opt.Width()
	var b strings.Builder
	for i, s := range d.active {
		if i == maxLive {
			fmt.Fprintf(&b, "  and %d more\n", len(d.active)-maxLive)
			d.drawn++
			break
		}
		spin := frames[(d.frame+i)%len(frames)]
		text := strings.Repeat("  ", s.depth()) + spin + " " + s.name + " (" + s.state(now) + ")"
		b.WriteString(cut(text, width-1) + "\n")
		d.drawn++
	}
	d.write(b.String())
}

// cut shortens text to width columns, so that it never wraps: a wrapped line
// would be wiped only in part.
func cut(text string, width int) string {
	if width < 1 || utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:width-1]) + "…"
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
	if d.opt.Color && d.opt.Terminal {
		return "\x1b[" + color + "m" + mark + "\x1b[0m"
	}
	return mark
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
