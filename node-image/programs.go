package nodeimage

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"path"
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
	case KindDebian, KindText:
		return "", nil // see program
	}
	return "", fmt.Errorf("component %s: no kind %q", prog.Name, prog.Kind)
}

// program is programFile by name, with the file's digest.
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
	switch prog.Kind {
	case KindDebian:
		file, err = b.extracted(ctx, p, prog)
	case KindText:
		file, err = b.moduleText(ctx, prog)
	}
	if err != nil {
		return "", "", err
	}
	digest, err = keptDigest(file)
	return file, digest, err
}

// extracted is where a file of a Debian package lies on this machine.
func (b *builder) extracted(ctx context.Context, p *parts, prog *Program) (string, error) {
	layer := p.roots[prog.Root].layer
	inputs := []string{layer.meta.DiffID.String(), prog.File}
	dir, err := b.step(ctx, "file-"+prog.Name, inputs, func(dir string) error {
		data, _, err := readMember(layer.path, prog.File)
		if err != nil {
			return err
		}
		return writeFile(filepath.Join(dir, prog.Name), bytes.NewReader(data))
	})
	return filepath.Join(dir, prog.Name), err
}

// moduleText is where a file of a module lies on this machine.
func (b *builder) moduleText(ctx context.Context, prog *Program) (string, error) {
	g := b.r.graph(prog.Graph)
	dir, err := b.moduleFiles(ctx, g, g.Modules[0], prog.File)
	return filepath.Join(dir, path.Base(prog.File)), err
}

// keptDigest is the digest of a file of the cache, which is kept beside the file.
func keptDigest(file string) (string, error) {
	kept := filepath.Join(filepath.Dir(file), "."+filepath.Base(file)+".digest")
	if data, err := os.ReadFile(kept); err == nil {
		return string(data), nil
	}
	digest, err := digestFile(file)
	if err != nil {
		return "", err
	}
	return digest, os.WriteFile(kept, []byte(digest), 0o644)
}

// programsDir holds a folder per layer with shared programs.
//
// A storage driver may give every node a file system of its own, and so a copy
// in memory of every program that runs. A folder that one layer alone makes up
// can be mounted from where the engine keeps that layer, and is then in memory
// once, however many nodes there are.
const programsDir = "/opt/kluster/programs"

// folderOf is where the shared programs of a layer lie.
func folderOf(layer string) string { return path.Join(programsDir, layer) }

// placedFile is a program in a layer: its path, what it is, and the link to it,
// "" for none.
type placedFile struct {
	Path, Digest string
	Link         string `json:",omitempty"`
	// Mode is 0755 where it is not given.
	Mode int64 `json:",omitempty"`

	from string
}

// place says where a program goes. A shared one is found at its target by a link.
func (p Program) place(from, digest string) placedFile {
	if p.Kind == KindText {
		return placedFile{Path: p.Target, Digest: digest, Mode: 0o644, from: from}
	}
	if !p.Shared {
		return placedFile{Path: p.Target, Digest: digest, from: from}
	}
	return placedFile{Path: path.Join(folderOf(p.Layer), p.Name), Digest: digest, Link: p.Target, from: from}
}

// programLayer makes a layer of programs.
func (b *builder) programLayer(ctx context.Context, name string, files []placedFile) (*fileLayer, error) {
	dir, err := b.step(ctx, "layer-"+name, files, func(dir string) error {
		return writeLayer(dir, func(w *layerWriter) error { return writePrograms(w, files) })
	})
	if err != nil {
		return nil, err
	}
	return openLayer(dir)
}

func writePrograms(w *layerWriter, files []placedFile) error {
	for _, f := range files {
		if err := w.hostFile(f.Path, cmp.Or(f.Mode, 0o755), f.from); err != nil {
			return err
		}
		if f.Link == "" {
			continue
		}
		if err := w.link(f.Link, f.Path); err != nil {
			return err
		}
	}
	return nil
}
