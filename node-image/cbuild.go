package nodeimage

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const builderRoot = "builder"

// inSandbox builds what is written in C, or links with C, in a container made
// of the node's own distribution.
func (b *builder) inSandbox(ctx context.Context, p *parts, builder root) error {
	image, err := plainImage(builder.layer)
	if err != nil {
		return err
	}
	for i := range b.r.Graphs {
		if g := &b.r.Graphs[i]; g.CGO && len(g.Packages) > 0 {
			dir, err := b.goBuild(ctx, g, image)
			if err != nil {
				return err
			}
			p.setOutput(g.Name, dir)
		}
	}
	for i := range b.r.Programs {
		if prog := &b.r.Programs[i]; prog.Kind == KindC {
			dir, err := b.cBuild(ctx, prog, image)
			if err != nil {
				return err
			}
			p.setOutput(prog.Name, dir)
		}
	}
	return nil
}

func plainImage(layers ...*fileLayer) (v1.Image, error) {
	var add []v1.Layer
	for _, l := range layers {
		add = append(add, l)
	}
	return mutate.AppendLayers(ociImage(), add...)
}

// sandboxBuild runs go build in the builder. The toolchain and the modules
// are the host's own; nothing is downloaded in there.
func (b *builder) sandboxBuild(ctx context.Context, g *GraphInput, image v1.Image, dir string) error {
	work, cleanup, err := g.workDir(b.cache)
	if err != nil {
		return err
	}
	defer cleanup()
	if err := b.goRun(ctx, work, nil, "mod", "download"); err != nil {
		return err
	}
	root, modules, err := b.goFolders(ctx)
	if err != nil {
		return err
	}
	args := append([]string{"/usr/local/go/bin/go", "build", "-o", "/out/"}, g.buildFlags()...)
	return b.sandboxRun(ctx, dir, SandboxRun{
		Name: "build-" + g.Name, Image: image,
		Args: append([]string{"sh", "-ec", `mkdir -p /out; cd /src; exec "$@"`, "sh"}, append(args, g.Packages...)...),
		Env: []string{
			"CGO_ENABLED=1", "GOOS=linux", "GOARCH=" + b.r.Arch, "GOTOOLCHAIN=local", "GOFLAGS=", "GOPROXY=off", "GOSUMDB=off",
			"GOMODCACHE=/modules", "GOCACHE=/tmp/go-build", "HOME=/root", "PATH=" + nodePath,
		},
		Mounts: map[string]string{root: "/usr/local/go", modules: "/modules", work: "/src"},
	})
}

// cBuild compiles a C program of one file or of a folder's, without libraries.
func (b *builder) cBuild(ctx context.Context, prog *Program, image v1.Image) (string, error) {
	g := b.r.graph(prog.Graph)
	key, err := g.fileKey(prog.File)
	if err != nil {
		return "", err
	}
	inputs := struct{ Name, Version, File, Key, Arch, Image string }{prog.Name, prog.Version, prog.File, key, b.r.Arch, builderRoot}
	return b.step(ctx, "build-"+prog.Name, inputs, func(dir string) error {
		module, err := b.moduleDir(ctx, g, g.Modules[0])
		if err != nil {
			return err
		}
		source := filepath.Join(module, filepath.Dir(prog.File))
		return b.sandboxRun(ctx, dir, SandboxRun{
			Name: "build-" + prog.Name, Image: image,
			Args: []string{
				"sh", "-ec", `mkdir -p /out; cd /src; exec gcc -Os -Wall -Werror -static -s -DVERSION="$1" -o "/out/$2" $3`,
				"sh", "v" + prog.Version + "-kluster", prog.Name, cFiles(prog.File),
			},
			Env:    []string{"PATH=" + nodePath},
			Mounts: map[string]string{source: "/src"},
		})
	})
}

// cFiles is the shell pattern of a C program's files in their folder.
func cFiles(file string) string {
	if strings.HasSuffix(file, "/") {
		return "*.c"
	}
	return path.Base(file)
}

// sandboxRun runs in the builder and unpacks the files of /out into dir.
func (b *builder) sandboxRun(ctx context.Context, dir string, run SandboxRun) error {
	if b.opts.Sandbox == nil {
		return errors.New("no sandbox to build in")
	}
	r, w := io.Pipe()
	run.Outputs = map[string]io.Writer{"/out": w}
	done := make(chan error, 1)
	go func() {
		err := unpackFiles(r, dir)
		r.CloseWithError(err)
		done <- err
	}()
	err := b.opts.Sandbox.Run(ctx, run)
	w.CloseWithError(err)
	if unpackErr := <-done; err == nil {
		err = unpackErr
	}
	return err
}

// unpackFiles puts the regular files of a tar stream into dir, without their
// folders.
func unpackFiles(r io.Reader, dir string) error {
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			_, err = io.Copy(io.Discard, r)
			return err
		}
		if err != nil {
			return fmt.Errorf("reading a sandbox's output: %w", err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if err := writeFile(filepath.Join(dir, path.Base(h.Name)), tr); err != nil {
			return err
		}
	}
}

func writeFile(name string, r io.Reader) (err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = io.Copy(f, r)
	return err
}

const nodePath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func ociImage() v1.Image {
	return mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
}
