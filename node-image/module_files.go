package nodeimage

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// ModuleFile is a file of a Go module, or several of one folder.
type ModuleFile struct {
	// Graph pins the module, which its go.sum verifies.
	Graph string
	// Module is "" for the graph's first.
	Module string
	// Path is the file's in the module, with slashes; its last part may be a pattern
	// of path.Match.
	Path string
}

func (f ModuleFile) String() string { return f.Graph + " " + path.Join(f.Module, f.Path) }

// ModuleFiles reads files of Go modules, from the cache where it can: for each of
// wanted those that it names, sorted by name. It returns the errors of Resolve and
// Build.
func ModuleFiles(ctx context.Context, wanted []ModuleFile, opts Options) ([][][]byte, error) {
	if len(wanted) == 0 {
		return nil, nil
	}
	c, err := LoadCatalog()
	if err != nil {
		return nil, err
	}
	return readModuleFiles(ctx, c, wanted, Env{}, opts)
}

func readModuleFiles(ctx context.Context, c *Catalog, wanted []ModuleFile, env Env, opts Options) ([][][]byte, error) {
	dirs, err := moduleFolders(ctx, c, wanted, env, opts)
	if err != nil {
		return nil, err
	}
	var out [][][]byte
	for _, dir := range dirs {
		texts, err := readFolder(dir)
		if err != nil {
			return nil, err
		}
		out = append(out, texts)
	}
	return out, nil
}

// readFolder gives the texts of a folder's files, but for hidden ones.
func readFolder(dir string) ([][]byte, error) {
	entries, err := os.ReadDir(dir)
	var texts [][]byte
	for _, e := range entries { // by name
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		texts = append(texts, text)
	}
	return texts, err
}

// moduleFolders gives the folders with the files, one for each of wanted.
func moduleFolders(ctx context.Context, c *Catalog, wanted []ModuleFile, env Env, opts Options) ([]string, error) {
	b, err := newBuilder(&Recipe{env: env.withDefaults(), steps: map[string]time.Duration{}}, opts)
	if err != nil {
		return nil, err
	}
	var dirs []string
	for _, f := range wanted {
		g, err := f.graph(ctx, c, env)
		if err != nil {
			return nil, err
		}
		dir, err := b.moduleFiles(ctx, g, f.Module, f.Path)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", f, err)
		}
		dirs = append(dirs, dir)
	}
	return dirs, nil
}

// graph pins the module graph of a file.
func (f ModuleFile) graph(ctx context.Context, c *Catalog, env Env) (*GraphInput, error) {
	x := resolver{c: c}
	if err := check(c, &x.spec); err != nil {
		return nil, err
	}
	if err := x.begin(ctx, env); err != nil {
		return nil, err
	}
	g := c.graph(f.Graph)
	if g == nil {
		return nil, &SpecError{"graph", fmt.Sprintf("there is no module graph %q", f.Graph)}
	}
	in, err := x.graph(*g)
	return &in, err
}

// moduleFiles gives a folder with those files of a module of a graph, "" for the first,
// that a path, the last part of which may be a pattern, names.
func (b *builder) moduleFiles(ctx context.Context, g *GraphInput, of, pattern string) (string, error) {
	name, inputs, err := g.filesStep(of, pattern)
	if err != nil {
		return "", err
	}
	if of == "" {
		of = g.Modules[0]
	}
	return b.step(ctx, name, inputs, func(dir string) error {
		if _, err := goVersion(ctx, b.r.env.Go); err != nil {
			return err // which says what to do without Go
		}
		from, err := b.moduleDir(ctx, g, of)
		if err != nil {
			return err
		}
		return copyMatching(os.DirFS(from), pattern, dir)
	})
}

// filesStep is the step of moduleFiles, and what its output depends on.
func (g *GraphInput) filesStep(of, pattern string) (name string, inputs []string, err error) {
	key, err := g.fileKey(pattern)
	inputs = []string{pattern, key}
	if of != "" && of != g.Modules[0] {
		inputs = append(inputs, of)
	}
	return "file-" + stepName(pattern), inputs, err
}

// stepName is the last part of a path without what patterns have in them.
func stepName(pattern string) string {
	name := []rune(path.Base(pattern))
	return string(slices.DeleteFunc(name, func(r rune) bool { return r == '*' || r == '?' || r == '[' || r == ']' }))
}

// copyMatching copies the files that a pattern names, of which there must be one.
func copyMatching(from fs.FS, pattern, to string) error {
	names, err := fs.Glob(from, pattern)
	if err != nil {
		return fmt.Errorf("pattern %s: %w", pattern, err)
	}
	if len(names) == 0 {
		return fmt.Errorf("the module has no file %s", pattern)
	}
	for _, name := range names {
		if err := copyOf(from, name, filepath.Join(to, path.Base(name))); err != nil {
			return err
		}
	}
	return nil
}

func copyOf(from fs.FS, name, to string) error {
	f, err := from.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return writeFile(to, f)
}
