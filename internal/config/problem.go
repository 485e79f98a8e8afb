package config

import (
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with what the user asked for.
type Problem struct {
	// File is the file's name, "standard input", or "" for a flag.
	File string
	// Line and Column count from 1; 0 where there is none.
	Line, Column int
	// Field is a path such as "nodes[1].role", or a flag such as "--nodes";
	// "" for the file as a whole.
	Field string
	// Message says what is wrong, Hint what to do; Hint may be "".
	Message, Hint string
}

// String is "FILE:LINE:COLUMN: FIELD: MESSAGE (HINT)" with what is known of it.
func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", p.Line, max(p.Column, 1))
		}
		b.WriteString(": ")
	}
	if p.Field != "" {
		b.WriteString(p.Field + ": ")
	}
	b.WriteString(p.Message)
	if p.Hint != "" {
		b.WriteString(" (" + p.Hint + ")")
	}
	return b.String()
}

// Invalid is an error that holds every problem of a configuration, those of
// flags first, then in the order of the file.
type Invalid struct {
	Problems []Problem
}

func (e *Invalid) Error() string {
	if len(e.Problems) == 1 {
		return e.Problems[0].String()
	}
	lines := []string{fmt.Sprintf("%d problems in the configuration:", len(e.Problems))}
	for _, p := range e.Problems {
		lines = append(lines, "  "+p.String())
	}
	return strings.Join(lines, "\n")
}

// position of a field in a file.
type position struct{ line, column int }

// problems gathers what is wrong, and knows where each field stands.
type problems struct {
	file string
	at   map[string]position
	// broken are fields whose value has the wrong form: nothing more is said
	// of them.
	broken map[string]bool
	list   []Problem
}

// add notes a problem of a field, at the place of the field or else of the
// nearest field around it.
func (p *problems) add(field, hint, format string, args ...any) {
	if p.broken[field] {
		return
	}
	at := p.find(field)
	p.list = append(p.list, Problem{
		File: p.fileOf(field), Line: at.line, Column: at.column,
		Field: field, Message: fmt.Sprintf(format, args...), Hint: hint,
	})
}

func (p *problems) fileOf(field string) string {
	// A file may have keys that look like flags.
	if _, inFile := p.at[field]; !inFile && strings.HasPrefix(field, "--") {
		return ""
	}
	return p.file
}

func (p *problems) find(field string) position {
	for {
		if at, ok := p.at[field]; ok || field == "" {
			return at
		}
		field = field[:max(strings.LastIndexAny(field, ".["), 0)]
	}
}

// err is nil, or an *Invalid with everything found.
func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	slices.SortStableFunc(p.list, func(a, b Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return &Invalid{Problems: slices.Compact(p.list)}
}
