package archtest

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/kluster-project/kluster"

// listed is what "go list" says of a package.
type listed struct {
	ImportPath string
	Dir        string
	Doc        string
	GoFiles    []string
	Imports    []string
}

// packages are those of this module, by path without the module's own.
func packages(t *testing.T) map[string]listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Dir,Doc,GoFiles,Imports", module+"/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	found := map[string]listed{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return found
		} else if err != nil {
			t.Fatal(err)
		}
		found[strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")] = p
	}
}

// within says whether a package is dir or lies below it.
func within(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

func withinAny(path string, dirs []string) bool {
	return slices.ContainsFunc(dirs, func(dir string) bool { return within(path, dir) })
}

// layer is some folders of packages that stand side by side.
type layer struct {
	name string
	dirs []string
}

// layers, lowest first: a package imports from its own and from those below.
var layers = []layer{
	{"leaves", []string{"internal/failure", "internal/imageload", "internal/pieces", "internal/status", "internal/nodespec", "internal/pki", "internal/suggest", "internal/trace", "internal/wait", "internal/shell", "internal/golden", "internal/redact", "internal/bundle", "internal/offline", "internal/inventory", "internal/journal", "configs"}},
	{"facts", []string{"internal/cri", "internal/config", "internal/kubeconfig", "internal/kubeadm", "internal/addons", "internal/loadbalancer", "internal/fault"}},
	{"siblings", []string{"provider", "node-image", "e2e", "internal/nodeagent"}},
	{"views", []string{"internal/logs", "internal/doctor", "internal/registries"}},
	{"cluster", []string{"internal/cluster"}},
	{"runs", []string{"internal/e2e", "internal/scenario"}},
	{"local", []string{"internal/local"}},
	{"users' sides", []string{"internal/cli", ""}}, // the command and the public package
	{"bench", []string{"internal/bench"}},
	{"programs", []string{"cmd"}},
}

// layerOf is the index of a package's layer, -1 if it has none.
func layerOf(path string) int {
	return slices.IndexFunc(layers, func(l layer) bool { return withinAny(path, l.dirs) })
}

// TestLayers sees that imports only ever go down.
func TestLayers(t *testing.T) {
	for path, p := range packages(t) {
		if within(path, "internal/archtest") {
			continue
		}
		at := layerOf(path)
		if at < 0 {
			t.Errorf("%s is in no layer: give it one in layers", path)
			continue
		}
		for _, imported := range p.Imports {
			to, ours := strings.CutPrefix(imported+"/", module+"/")
			to = strings.TrimSuffix(to, "/")
			if ours && layerOf(to) > at {
				t.Errorf("%s (%s) imports %s (%s), which is above it", path, layers[at].name, to, layers[layerOf(to)].name)
			}
		}
	}
}

// TestSiblings sees that what makes machines, what makes images and what tests
// clusters never meet: what they agree on is internal/nodespec.
func TestSiblings(t *testing.T) {
	siblings := []string{"provider", "node-image", "e2e"}
	for path, p := range packages(t) {
		for _, imported := range p.Imports {
			to := strings.TrimPrefix(imported, module+"/")
			if withinAny(path, siblings) && withinAny(to, siblings) && !sameFamily(path, to) {
				t.Errorf("%s imports %s", path, to)
			}
		}
	}
}

func sameFamily(a, b string) bool {
	first, _, _ := strings.Cut(a, "/")
	return within(b, first)
}

// bans are imports that only a few packages may have, with what to use instead.
// Tests that look at an engine from outside are free.
var bans = []struct {
	prefix string
	except []string
	use    string
}{
	{"github.com/docker/docker", []string{"provider/docker", "e2e/suites", "internal/bench/engine"}, "the provider interface"},
	{module + "/provider/docker", []string{"provider/docker", "internal/local"}, "the provider interface"},
	{module + "/provider/providertest", []string{"provider"}, "a real provider: this one is for tests"},
	{"github.com/spf13/cobra", []string{"internal/cli", "cmd"}, "plain functions"},
	{"k8s.io/kubernetes", nil, "a module graph of its own, as node images do"},
	{"github.com/pkg/errors", nil, "the standard library"},
	{"github.com/stretchr/testify", nil, "testing and go-cmp"},
}

func TestBans(t *testing.T) {
	for path, p := range packages(t) {
		for _, imported := range p.Imports {
			for _, ban := range bans {
				if within(imported, ban.prefix) && !withinAny(path, ban.except) {
					t.Errorf("%s imports %s: use %s", path, imported, ban.use)
				}
			}
		}
	}
}

// engineWords are an engine's own commands, variables and packages, which only
// its provider may tell a user. (Debian's package has the name of Docker Hub's images.)
var engineWords = regexp.MustCompile(`\bdocker [a-z]|\bDOCKER_|\bdocker\.(service|sock)\b|\binstall docker\.io\b`)

// TestEngineWords looks at the texts of all that lies between the provider and
// the programs.
func TestEngineWords(t *testing.T) {
	for path, p := range packages(t) {
		if at := layerOf(path); at <= layerOf("provider") || at == layerOf("cmd") {
			continue
		}
		for _, name := range p.GoFiles {
			for _, text := range texts(t, filepath.Join(p.Dir, name)) {
				if engineWords.MatchString(text) {
					t.Errorf("%s/%s: %s: let the provider say it", path, name, text)
				}
			}
		}
	}
}

// texts are the string literals of a Go file.
func texts(t *testing.T, file string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	ast.Inspect(parsed, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			found = append(found, lit.Value)
		}
		return true
	})
	return found
}

// TestPackageDocs sees that every package says what it is.
func TestPackageDocs(t *testing.T) {
	for path, p := range packages(t) {
		if len(p.GoFiles) > 0 && p.Doc == "" {
			t.Errorf("%s has no package comment", path)
		}
	}
}
