package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// Output formats.
const (
	formatTable = "table"
	formatJSON  = "json"
	formatName  = "name"
	formatYAML  = "yaml"
	formatText  = "text"
)

// addOutput adds -o with table, json and name.
func addOutput(cmd *cobra.Command, c *choice) {
	addChoice(cmd, c, "output", "o", "how to print", formatTable, formatJSON, formatName)
}

// table is what -o table and -o name print: the first column holds names.
type table struct {
	head []string
	rows [][]string
}

// show prints items as JSON, or the table or names that render makes of them.
func show(w io.Writer, format string, items any, render func() table) error {
	switch format {
	case formatJSON:
		return printJSON(w, items)
	case formatName:
		return render().names(w)
	default:
		return render().print(w)
	}
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("printing the result: %w", err)
	}
	return nil
}

func (t table) print(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	for _, row := range append([][]string{t.head}, t.rows...) {
		fmt.Fprintln(tw, strings.TrimRight(strings.Join(row, "\t"), "\t")) // Flush gives the error
	}
	if err := tw.Flush(); err != nil {
		return fmt.Errorf("printing the result: %w", err)
	}
	return nil
}

func (t table) names(w io.Writer) error {
	for _, row := range t.rows {
		if _, err := fmt.Fprintln(w, row[0]); err != nil {
			return fmt.Errorf("printing the result: %w", err)
		}
	}
	return nil
}

// listOf makes sure that an empty list is printed as [] and not as null.
func listOf[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}
