package status

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// Screen prints lines that stay and, on a terminal, below them a live part that is
// drawn anew and again. Its owner keeps its methods apart: it has no lock.
type Screen struct {
	Out      io.Writer
	Terminal bool       // has a live part, see Smart
	Width    func() int // gives the terminal's columns now; nil for 80
	Color    bool       // allows colours (on a terminal)

	drawn int // lines of the live part now on the terminal
	frame int
}

// frames of the spinner: braille dots, one column wide everywhere.
var frames = [...]string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}

// Next is the time for the spinners to move.
func (s *Screen) Next() { s.frame++ }

// Spinner is one column; those of different lines may be apart by i.
func (s *Screen) Spinner(i int) string { return frames[(s.frame+i)%len(frames)] }

// Print prints what stays, above the live part, which is to be drawn again.
func (s *Screen) Print(text string) {
	s.Wipe()
	s.write(strings.TrimRight(text, "\n") + "\n")
}

// Draw replaces the live part by these lines, cut where they are too long.
func (s *Screen) Draw(lines []string) {
	s.Wipe()
	if !s.Terminal || len(lines) == 0 {
		return
	}
	width := 80
	if s.Width != nil {
		width = s.Width()
	}
	var b strings.Builder
	for _, line := range lines {
		b.WriteString(Cut(line, width-1) + "\n")
	}
	s.write(b.String())
	s.drawn = len(lines)
}

// Wipe removes the live part.
func (s *Screen) Wipe() {
	if s.drawn > 0 {
		s.write(fmt.Sprintf("\x1b[%dA\r\x1b[J", s.drawn))
		s.drawn = 0
	}
}

// Paint gives text a colour, a parameter of the terminal's SGR sequence ("31");
// "" is none.
func (s *Screen) Paint(text, color string) string {
	if s.Color && s.Terminal && color != "" {
		return "\x1b[" + color + "m" + text + "\x1b[0m"
	}
	return text
}

// write has nobody to tell when stderr is gone.
func (s *Screen) write(text string) { _, _ = io.WriteString(s.Out, text) }

// Every calls f again and again until stop, which returns when f is called no more.
func Every(d time.Duration, f func()) (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(d)
		defer ticker.Stop()
		for {
			select {
			case <-end:
				return
			case <-ticker.C:
				f()
			}
		}
	}()
	return func() {
		close(end)
		<-ended
	}
}

// Cut shortens text to width columns, so that it never wraps: a wrapped line
// would be wiped only in part. Sequences for colours take none.
func Cut(text string, width int) string {
	columns, coloured := 0, false
	for i := 0; i < len(text); {
		if strings.HasPrefix(text[i:], "\x1b[") {
			end := i + strings.IndexByte(text[i:], 'm') + 1 // ours are whole
			coloured = text[i:end] != "\x1b[0m"
			i = end
			continue
		}
		_, size := utf8.DecodeRuneInString(text[i:])
		if columns++; columns == width && visible(text[i:]) > 1 {
			text = text[:i] + "…"
			if coloured {
				text += "\x1b[0m"
			}
			return text
		}
		i += size
	}
	return text
}

// visible counts the columns of a text.
func visible(text string) int {
	n := 0
	for i := 0; i < len(text); {
		if strings.HasPrefix(text[i:], "\x1b[") {
			i += strings.IndexByte(text[i:], 'm') + 1
			continue
		}
		_, size := utf8.DecodeRuneInString(text[i:])
		i, n = i+size, n+1
	}
	return n
}
