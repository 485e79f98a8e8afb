package config

import (
	"fmt"
	"strings"
)

// suggest is `did you mean "x"?` for the known word nearest to what was
// written, or a list of the known words where none is near.
func suggest(written string, known []string) string {
	if hint := nearest(written, known); hint != "" || len(known) == 0 {
		return hint
	}
	return "known: " + strings.Join(known, ", ")
}

// nearest is `did you mean "x"?`, or "" where no known word is near.
func nearest(written string, known []string) string {
	written = shorten(written)
	best, distance := "", max(1, len(written)/3)+1
	for _, k := range known {
		if d := editDistance(strings.ToLower(written), strings.ToLower(k)); d < distance {
			best, distance = k, d
		}
	}
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

// editDistance counts the insertions, removals, replacements and swaps of
// neighbours that make b of a.
func editDistance(a, b string) int {
	before, last, row := []int(nil), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, make([]int, len(b)+1)
	}
	return last[len(b)]
}
