package archtest

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/configs"
	"github.com/kluster-project/kluster/internal/cri"
)

// TestNobodyAsksForTheRuntime sees that what differs between container runtimes is in
// their table: nothing else compares with the name of one.
func TestNobodyAsksForTheRuntime(t *testing.T) {
	names := slices.Concat(cri.Names(), cri.OCINames())
	for path, p := range packages(t) {
		if within(path, "internal/cri") {
			continue
		}
		for _, name := range p.GoFiles {
			for _, text := range compared(t, filepath.Join(p.Dir, name)) {
				if slices.Contains(names, text) {
					t.Errorf("%s/%s compares with %q: put what differs into internal/cri", path, name, text)
				}
			}
		}
	}
}

// compared are the string literals of a Go file that something is compared with.
func compared(t *testing.T, file string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	add := func(list ...ast.Expr) {
		for _, x := range list {
			if lit, ok := x.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if text, err := strconv.Unquote(lit.Value); err == nil {
					found = append(found, text)
				}
			}
		}
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BinaryExpr:
			if n.Op == token.EQL || n.Op == token.NEQ {
				add(n.X, n.Y)
			}
		case *ast.CaseClause:
			add(n.List...)
		}
		return true
	})
	return found
}

// TestSchemaKnowsTheRuntimes sees that editors offer the runtimes there are.
func TestSchemaKnowsTheRuntimes(t *testing.T) {
	var schema any
	if err := json.Unmarshal(configs.Schema, &schema); err != nil {
		t.Fatal(err)
	}
	found := 0
	var walk func(v any)
	walk = func(v any) {
		object, ok := v.(map[string]any)
		if !ok {
			return
		}
		for field, want := range map[string][]string{"runtime": cri.Names(), "ociRuntime": cri.OCINames()} {
			property, ok := object[field].(map[string]any)
			if !ok || property["enum"] == nil {
				continue
			}
			found++
			var got []string
			for _, name := range property["enum"].([]any) {
				got = append(got, name.(string))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %s", field, diff)
			}
		}
		for _, inner := range object {
			walk(inner)
		}
	}
	walk(schema)
	if found != 4 {
		t.Errorf("%d fields for runtimes, want 4: two of a cluster and two of a node", found)
	}
}
