package bench

import (
	"fmt"
	"os"
	"strings"
)

// marks are the lines of a page between which it holds the last table.
type marks struct{ begin, end string }

// The marks of the kinds of table: none can take the other's place.
var (
	benchMarks   = marks{"<!-- bench: written by make bench, do not edit -->\n", "<!-- bench: end -->\n"}
	runtimeMarks = marks{"<!-- runtimes: written by make bench, do not edit -->\n", "<!-- runtimes: end -->\n"}
	loadMarks    = marks{"<!-- load: written by make bench, do not edit -->\n", "<!-- load: end -->\n"}
)

func (r *Report) marks() marks {
	switch {
	case r.Settings.Load != nil:
		return loadMarks
	case r.Settings.Runtimes != nil:
		return runtimeMarks
	}
	return benchMarks
}

// WriteDoc puts the table between the marks of a page.
func (r *Report) WriteDoc(file string) error {
	page, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading the page for the table: %w", err)
	}
	written, err := r.marks().insert(string(page), r.Table())
	if err != nil {
		return fmt.Errorf("page %s: %w", file, err)
	}
	if err := os.WriteFile(file, []byte(written), 0o644); err != nil {
		return fmt.Errorf("writing the page with the table: %w", err)
	}
	return nil
}

func (m marks) insert(page, table string) (string, error) {
	before, rest, begun := strings.Cut(page, m.begin)
	_, after, ended := strings.Cut(rest, m.end)
	if !begun || !ended {
		return "", fmt.Errorf("it has not the two marks that the table goes between, %s and %s",
			strings.TrimSpace(m.begin), strings.TrimSpace(m.end))
	}
	return before + m.begin + "\n" + table + "\n" + m.end + after, nil
}
