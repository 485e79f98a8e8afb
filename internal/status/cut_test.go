package status

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func FuzzCut(f *testing.F) {
	f.Add("a spec", "with a name", 5)
	f.Add("", "ö", 1)
	f.Add("aaa", "ööö", 3)
	screen := Screen{Terminal: true, Color: true}
	f.Fuzz(func(t *testing.T, a, b string, width int) {
		if width < 1 || width > 1000 {
			return
		}
		if strings.ContainsFunc(a+b, unicode.IsControl) {
			return // the owner's to leave out
		}
		whole := screen.Paint(a, "") + screen.Paint(b, "31")
		got := Cut(whole, width)
		if visible(got) > width {
			t.Errorf("%q has %d columns, not %d", got, visible(got), width)
		}
		if visible(whole) <= width && got != whole {
			t.Errorf("%q was cut to %q", whole, got)
		}
		if strings.Count(got, "\x1b[31m") > strings.Count(got, "\x1b[0m") || strings.ContainsAny(got, "\n\r") {
			t.Errorf("%q spoils the terminal", got)
		}
		if utf8.ValidString(whole) && !utf8.ValidString(got) {
			t.Errorf("%q is no UTF-8", got)
		}
	})
}
