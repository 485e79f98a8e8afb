package bench

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// Marks between which a page holds the last table.
const (
	docBegin = "<!-- bench: written by make bench, do not edit -->\n"
	docEnd   = "<!-- bench: end -->\n"
)

// WriteDoc puts the table between the marks of a page.
func (r *Report) WriteDoc(file string) error {
	page, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading the page for the table: %w", err)
	}
	written, err := insert(string(page), r.Table())
	if err != nil {
		return fmt.Errorf("page %s: %w", file, err)
	}
	if err := os.WriteFile(file, []byte(written), 0o644); err != nil {
		return fmt.Errorf("writing the page with the table: %w", err)
	}
	return nil
}

func insert(page, table string) (string, error) {
	before, rest, begun := strings.Cut(page, docBegin)
	_, after, ended := strings.Cut(rest, docEnd)
	if !begun || !ended {
		return "", errors.New("it has not the two marks that the table goes between")
	}
	return before + docBegin + "\n" + table + "\n" + docEnd + after, nil
}
