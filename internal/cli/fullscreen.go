package cli

import (
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/kluster-project/kluster/internal/status"
)

// fullScreen is a view that takes the whole terminal; what was there is there again when it
// is closed.
type fullScreen struct {
	out  io.Writer
	open bool
}

// Sequences of the terminal: another screen without a cursor, and back.
const (
	enterPage = "\x1b[?1049h\x1b[?25l"
	leavePage = "\x1b[?25h\x1b[?1049l"
)

// draw shows lines, cut where the terminal ends. It overwrites what is there, and clears
// the rest of each line, so that nothing flickers: all is one write.
func (p *fullScreen) draw(lines []string) {
	columns, rows := 80, 24
	if f, ok := p.out.(*os.File); ok {
		if c, r, err := term.GetSize(int(f.Fd())); err == nil && c > 0 && r > 0 {
			columns, rows = c, r
		}
	}
	var text strings.Builder
	if !p.open {
		text.WriteString(enterPage)
		p.open = true
	}
	text.WriteString("\x1b[H")
	for i, line := range lines[:min(len(lines), rows)] {
		if i > 0 {
			text.WriteString("\r\n")
		}
		text.WriteString(status.Cut(line, columns) + "\x1b[K")
	}
	text.WriteString("\x1b[J")
	_, _ = io.WriteString(p.out, text.String()) // nobody to tell when the terminal is gone
}

func (p *fullScreen) close() {
	if p.open {
		_, _ = io.WriteString(p.out, leavePage)
	}
}
