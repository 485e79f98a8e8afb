package suite_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/e2e/event"
	"github.com/kluster-project/kluster/e2e/suite"
)

// parse is the source of the main, by file name.
func parse(t *testing.T) map[string]*ast.File {
	t.Helper()
	files := map[string]*ast.File{}
	for name, source := range suite.SourceFor("v1.36.3") {
		file, err := parser.ParseFile(token.NewFileSet(), name, source, 0)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = file
	}
	return files
}

func TestSource(t *testing.T) {
	files := parse(t)
	if len(files) == 0 {
		t.Fatal("there is no source")
	}
	for name, file := range files {
		if !strings.HasSuffix(name, "_test.go") || file.Name.Name != "kubernetes" {
			t.Errorf("%s of package %s would not be compiled by \"go test -c\"", name, file.Name)
		}
	}
}

// TestEvents holds the events that the suite tells to those that are heard.
func TestEvents(t *testing.T) {
	want := map[string]string{}
	for field := range reflect.TypeFor[event.Event]().Fields() {
		typ := field.Type.String()
		if field.Type == reflect.TypeFor[event.Kind]() {
			typ = "string"
		}
		want[field.Name] = typ + " " + field.Tag.Get("json")
	}
	got := map[string]string{}
	ast.Inspect(parse(t)["events_test.go"], func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok || spec.Name.Name != "event" {
			return true
		}
		for _, field := range spec.Type.(*ast.StructType).Fields.List {
			tag, err := strconv.Unquote(field.Tag.Value)
			if err != nil {
				t.Fatal(err)
			}
			got[field.Names[0].Name] = typeText(field.Type) + " " + reflect.StructTag(tag).Get("json")
		}
		return false
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fields (-heard +told):\n%s", diff)
	}
}

func typeText(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.SelectorExpr:
		return typeText(e.X) + "." + e.Sel.Name
	case *ast.ArrayType:
		return "[]" + typeText(e.Elt)
	case *ast.Ident:
		return e.Name
	default:
		return ""
	}
}

// TestConstants holds names that both sides use to each other.
func TestConstants(t *testing.T) {
	constants := map[string]string{}
	kinds := map[string]bool{}
	for _, file := range parse(t) {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				for i, name := range n.Names {
					if i < len(n.Values) {
						constants[name.Name] = literal(n.Values[i])
					}
				}
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.Ident); ok && f.Name == "about" {
					kinds[literal(n.Args[1])] = true
				}
			}
			return true
		})
	}
	for name, want := range map[string]string{"socketEnv": event.SocketEnv, "timingsEnv": suite.TimingsEnv} {
		if constants[name] != want {
			t.Errorf("%s is %q, want %q", name, constants[name], want)
		}
	}
	want := map[string]bool{string(event.Start): true, string(event.Failing): true, string(event.End): true}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("kinds (-heard +told):\n%s", diff)
	}
}

func literal(e ast.Expr) string {
	if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
		text, err := strconv.Unquote(lit.Value)
		if err == nil {
			return text
		}
	}
	return ""
}

// TestSamePackages sees that the main is made of the packages that upstream's is,
// in every version whose source is at hand.
func TestSamePackages(t *testing.T) {
	cache, err := exec.CommandContext(t.Context(), "go", "env", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"v1.34.4", "v1.35.4", "v1.36.3"} {
		t.Run(version, func(t *testing.T) {
			path := filepath.Join(strings.TrimSpace(string(cache)), "k8s.io/kubernetes@"+version, "test/e2e/e2e_test.go")
			source, err := os.ReadFile(path)
			if errors.Is(err, fs.ErrNotExist) {
				t.Skipf("Kubernetes' source is not in the module cache: %v", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			upstream, err := parser.ParseFile(token.NewFileSet(), path, source, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			var ours []string
			logcheck := false
			for name, source := range suite.SourceFor(version) {
				file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ImportsOnly)
				if err != nil {
					t.Fatal(err)
				}
				ours = append(ours, blank(file)...)
				logcheck = logcheck || imports(file, logcheckPath)
			}
			slices.Sort(ours)
			if diff := cmp.Diff(blank(upstream), ours); diff != "" {
				t.Errorf("blank imports (-upstream +ours):\n%s", diff)
			}
			if want := imports(upstream, logcheckPath); logcheck != want {
				t.Errorf("ours imports logcheck: %t, upstream: %t", logcheck, want)
			}
		})
	}
}

const logcheckPath = "k8s.io/kubernetes/test/e2e/invariants/logcheck"

func imports(file *ast.File, path string) bool {
	return slices.ContainsFunc(file.Imports, func(i *ast.ImportSpec) bool { return literal(i.Path) == path })
}

// blank are the packages that a file imports for what they do at their start.
func blank(file *ast.File) []string {
	var paths []string
	for _, i := range file.Imports {
		if i.Name != nil && i.Name.Name == "_" {
			paths = append(paths, literal(i.Path))
		}
	}
	slices.Sort(paths)
	return paths
}
