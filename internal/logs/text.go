package logs

import (
	"strings"
	"unicode/utf8"

	"github.com/kluster-project/kluster/internal/redact"
)

// oneLine is a text without its line ends.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// clip is a text of no more than most bytes.
func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most] + "..."
}

// redact takes out of a summary what must not be seen: it is given to others too, in
// forms in which rules for texts might not see it.
func (s *Summary) redact() {
	hide := func(text *string) { *text = string(redact.Text([]byte(*text))) }
	for i := range s.Causes {
		hide(&s.Causes[i].Text)
		hide(&s.Causes[i].Line)
	}
	for i := range s.Missing {
		hide(&s.Missing[i])
	}
}
