package nodeimage

import (
	"embed"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// ownFiles is the source of programs of kluster's own that need modules which
// kluster itself does not have. The go tool is kept from the folder by its name.
//
//go:embed all:_own
var ownFiles embed.FS

// OwnSource is the source of such a program, by file name, without its tests.
func OwnSource(name string) (map[string][]byte, error) {
	dir := path.Join("_own", name)
	entries, err := ownFiles.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("no program %q of kluster's own: %w", name, err)
	}
	source := map[string][]byte{}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), testSuffix) {
			continue
		}
		if source[e.Name()], err = ownFiles.ReadFile(path.Join(dir, e.Name())); err != nil {
			return nil, err
		}
	}
	return source, nil
}

const testSuffix = "_test.go"

// addOwn makes programs of kluster's own packages of the graph's main module.
func (g *GraphInput) addOwn(names []string) error {
	for _, name := range names {
		source, err := OwnSource(name)
		if err != nil {
			return err
		}
		text, err := json.Marshal(source)
		if err != nil {
			return fmt.Errorf("encoding the source of %s: %w", name, err)
		}
		if g.Own == nil {
			g.Own, g.own = map[string]string{}, map[string][]byte{}
		}
		g.Own[name] = digestOf(text)
		g.Packages = append(g.Packages, "./"+name)
		for file, data := range source {
			g.own[path.Join(name, file)] = data
		}
	}
	return nil
}

// writeOwn puts the source of programs of kluster's own beside the graph's go.mod.
func (g *GraphInput) writeOwn(dir string) error {
	for name, data := range g.own {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}
