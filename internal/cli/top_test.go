package cli

import (
	"bytes"
	"strings"
	"testing"
)

// A frame is one write that clears nothing before it draws: that would flicker.
func TestAFrameOverwritesTheOneBefore(t *testing.T) {
	var out writes
	p := &fullScreen{out: &out}
	p.draw([]string{strings.Repeat("long ", 40), "two"})
	p.draw([]string{"short"})
	p.close()
	if len(out) != 3 {
		t.Fatalf("%d writes: %q", len(out), out)
	}
	first, second := out[0], out[1]
	if !strings.HasPrefix(first, enterPage+"\x1b[H") || strings.HasPrefix(second, enterPage) || out[2] != leavePage {
		t.Errorf("%q", out)
	}
	if line, _, _ := strings.Cut(strings.TrimPrefix(first, enterPage+"\x1b[H"), "\x1b[K"); len([]rune(line)) != 80 {
		t.Errorf("a line of %d columns: %q", len([]rune(line)), line)
	}
	if second != "\x1b[Hshort\x1b[K\x1b[J" {
		t.Errorf("%q", second)
	}
	if strings.Contains(first, "\x1b[2J") || strings.Index(first, "\x1b[J") != len(first)-len("\x1b[J") {
		t.Errorf("it clears before it draws: %q", first)
	}
}

func TestAFrameEndsWhereTheTerminalDoes(t *testing.T) {
	var out writes
	(&fullScreen{out: &out}).draw(strings.Split(strings.Repeat("x\n", 100), "\n"))
	if n := strings.Count(out[0], "\r\n"); n != 23 {
		t.Errorf("%d line feeds", n)
	}
}

// writes keeps what was written, write by write.
type writes []string

func (w *writes) Write(p []byte) (int, error) {
	*w = append(*w, string(bytes.Clone(p)))
	return len(p), nil
}
