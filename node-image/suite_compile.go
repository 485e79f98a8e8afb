package nodeimage

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// mainDir is the folder of SuiteSpec.Main, below that of the graph's go.mod.
const mainDir = "test/kluster-e2e"

// compileTests makes a test program of the graph's package. Files of source are
// put where that package then is.
func (b *builder) compileTests(ctx context.Context, g *GraphInput, program string, source map[string][]byte) error {
	work, cleanup, err := g.workDir(b.cache)
	if err != nil {
		return err
	}
	defer cleanup()
	// Without vet, which does not look for files where an overlay has them.
	args := []string{"test", "-c", "-o", program, "-vet=off"}
	if len(source) > 0 {
		overlay, remove, err := b.overlay(work, source)
		if err != nil {
			return err
		}
		defer remove()
		args = append(args, "-overlay="+overlay)
	}
	if err := b.goCompile(ctx, g, work, args...); err != nil {
		return err
	}
	// go says nothing where a package has no tests.
	if _, err := os.Stat(program); err != nil {
		return fmt.Errorf("go made no program of the tests of %s: %w", g.Packages[0], err)
	}
	return nil
}

// overlay is a file that makes go see source below work, which may be somebody's
// checkout and is left as it is.
func (b *builder) overlay(work string, source map[string][]byte) (file string, remove func(), err error) {
	dir, err := os.MkdirTemp(filepath.Join(b.cache.dir, "tmp"), "main-")
	if err != nil {
		return "", nil, diskError(err)
	}
	remove = func() { os.RemoveAll(dir) }
	file = filepath.Join(dir, "overlay.json")
	if err := writeOverlay(file, filepath.Join(work, mainDir), source); err != nil {
		remove()
		return "", nil, diskError(err)
	}
	return file, remove, nil
}

func writeOverlay(file, at string, source map[string][]byte) error {
	var overlay struct{ Replace map[string]string }
	overlay.Replace = map[string]string{}
	for name, text := range source {
		real := filepath.Join(filepath.Dir(file), "source", name)
		if err := os.MkdirAll(filepath.Dir(real), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(real, text, 0o644); err != nil {
			return err
		}
		overlay.Replace[filepath.Join(at, name)] = real
	}
	data, err := json.Marshal(overlay)
	if err != nil {
		return fmt.Errorf("encoding the overlay: %w", err)
	}
	return os.WriteFile(file, data, 0o644)
}
