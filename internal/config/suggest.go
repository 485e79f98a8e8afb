package config

import (
	"fmt"
	"strings"

	"github.com/kluster-project/kluster/internal/suggest"
)

// nearestOrAll is `did you mean "x"?` for the known word nearest to what was
// written, or a list of the known words where none is near.
func nearestOrAll(written string, known []string) string {
	if hint := nearest(written, known); hint != "" || len(known) == 0 {
		return hint
	}
	return "known: " + strings.Join(known, ", ")
}

// nearest is `did you mean "x"?`, or "" where no known word is near.
func nearest(written string, known []string) string {
	best := suggest.Nearest(shorten(written), known)
	if best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// alternatives is "a, b or c".
func alternatives(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
