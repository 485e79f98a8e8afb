package report

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// escapes are what terminals take as colours and movements.
var escapes = regexp.MustCompile("\x1b(\\[[0-9;?]*[ -/]*[@-~]|\\][^\x07\x1b]*(\x07|\x1b\\\\)|[@-Z\\\\-_])")

// plain is text without terminal escapes, carriage returns and bytes that are no
// UTF-8 or no text.
func plain(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if strings.Contains(text, "\x1b") {
		text = escapes.ReplaceAllString(text, "")
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, text)
}

// clip keeps the first quarter and the end of a text that is longer than most
// bytes, with a line between that says what was left out.
func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	head, tail := text[:most/4], text[len(text)-(most-most/4):]
	for len(head) > 0 && !utf8.RuneStart(text[len(head)]) {
		head = head[:len(head)-1]
	}
	for len(tail) > 0 && !utf8.RuneStart(tail[0]) {
		tail = tail[1:]
	}
	return fmt.Sprintf("%s\n... %s left out ...\n%s", head, size(int64(len(text)-len(head)-len(tail))), tail)
}

// firstLines are at most n lines of a text, and whether that is not all of it.
func firstLines(text string, n int) (lines string, more bool) {
	at := 0
	for range n {
		i := strings.IndexByte(text[at:], '\n')
		if i < 0 {
			return text, false
		}
		at += i + 1
	}
	return strings.TrimRight(text[:at], "\n"), strings.TrimSpace(text[at:]) != ""
}

// oneLine is the beginning of a text, on one line of at most n bytes.
func oneLine(text string, n int) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "") + " ..."
}

// size renders bytes for people.
func size(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.0f KiB", float64(n)/(1<<10))
	default:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
}
