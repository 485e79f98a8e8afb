package nodeimage

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// programFile is where a program lies on this machine, once it was built.
func (b *builder) programFile(p *parts, prog *Program) (string, error) {
	switch prog.Kind {
	case KindFile:
		return prog.path, nil
	case KindModule:
		return filepath.Join(p.outputs[prog.Graph], prog.Output), nil
	case KindC, KindRelease:
		return filepath.Join(p.outputs[prog.Name], prog.Name), nil
	}
	return "", fmt.Errorf("component %s: no kind %q", prog.Name, prog.Kind)
}

// program is programFile by name, with the file's digest, which is kept beside
// the file.
func (b *builder) program(ctx context.Context, p *parts, name string) (file, digest string, err error) {
	prog := b.r.program(name)
	if prog == nil {
		return "", "", fmt.Errorf("no component %q", name)
	}
	if file, err = b.programFile(p, prog); err != nil {
		return "", "", err
	}
	if prog.Kind == KindFile {
		return file, prog.Digest, ctx.Err()
	}
	kept := filepath.Join(filepath.Dir(file), "."+filepath.Base(file)+".digest")
	if data, err := os.ReadFile(kept); err == nil {
		return file, string(data), nil
	}
	if digest, err = digestFile(file); err != nil {
		return "", "", err
	}
	return file, digest, os.WriteFile(kept, []byte(digest), 0o644)
}

// programLayer puts programs into a layer; at maps a component to its path.
func (b *builder) programLayer(ctx context.Context, p *parts, name string, at []ImageFile) (*fileLayer, error) {
	type input struct{ Path, Digest string }
	var inputs []input
	files := make([]string, len(at))
	for i, f := range at {
		file, digest, err := b.program(ctx, p, f.Component)
		if err != nil {
			return nil, err
		}
		files[i], inputs = file, append(inputs, input{f.Path, digest})
	}
	dir, err := b.step(ctx, "layer-"+name, inputs, func(dir string) error {
		return writeLayer(dir, func(w *layerWriter) error {
			for i, f := range at {
				if err := w.hostFile(f.Path, 0o755, files[i]); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return openLayer(dir)
}
