package nodeimage

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

const moduleProxy = "the Go module proxy"

// goBuildInputs is what the output of a graph's build depends on.
type goBuildInputs struct {
	Graph    GraphInput
	Go, Arch string
}

// goBuild builds a graph's programs; the folder holds them by name. builder is
// where graphs with cgo are built.
func (b *builder) goBuild(ctx context.Context, g *GraphInput, builder v1.Image) (string, error) {
	return b.step(ctx, "build-"+g.Name, goBuildInputs{*g, b.r.Go, b.r.Arch}, func(dir string) error {
		if g.CGO {
			return b.sandboxBuild(ctx, g, builder, dir)
		}
		work, cleanup, err := g.workDir(b.cache)
		if err != nil {
			return err
		}
		defer cleanup()
		return b.goCompile(ctx, g, work, "build", "-o", dir+"/")
	})
}

// goCompile runs go in a graph's folder, with its flags and packages after args.
func (b *builder) goCompile(ctx context.Context, g *GraphInput, work string, args ...string) error {
	args = append(append(args, g.buildFlags()...), g.Packages...)
	cmd := exec.CommandContext(ctx, b.r.env.Go, args...)
	cmd.Dir = work
	cmd.Env = goEnv("CGO_ENABLED=0", "GOOS=linux", "GOARCH="+b.r.Arch)
	if g.tree == nil {
		return runCommand(ctx, cmd, moduleProxy)
	}
	cmd.Env = append(cmd.Env, "GOWORK=") // a checkout's go.work and vendor folder belong together
	if err := runCommand(ctx, cmd, moduleProxy); err != nil {
		return err
	}
	return g.tree.unchanged(ctx)
}

func (g *GraphInput) buildFlags() []string {
	flags := []string{"-trimpath", "-buildvcs=false", "-ldflags=" + g.LDFlags}
	if g.tree == nil {
		flags = append(flags, "-mod=readonly")
	}
	if len(g.Tags) > 0 {
		flags = append(flags, "-tags="+strings.Join(g.Tags, ","))
	}
	return flags
}

// workDir is where go is run: the checkout, or a folder with the graph's
// go.mod and go.sum and what is kluster's own.
func (g *GraphInput) workDir(c *cache) (string, func(), error) {
	if g.tree != nil {
		return g.tree.dir, func() {}, nil
	}
	dir, err := os.MkdirTemp(filepath.Join(c.dir, "tmp"), "mod-")
	if err != nil {
		return "", nil, diskError(err)
	}
	cleanup := func() { os.RemoveAll(dir) }
	if err = os.WriteFile(filepath.Join(dir, "go.mod"), g.mod, 0o644); err == nil {
		err = os.WriteFile(filepath.Join(dir, "go.sum"), g.sum, 0o644)
	}
	if err == nil {
		err = g.writeOwn(dir)
	}
	if err != nil {
		cleanup()
		return "", nil, diskError(err)
	}
	return dir, cleanup, nil
}

// fileKey pins a file of the graph's first module.
func (g *GraphInput) fileKey(file string) (string, error) {
	if g.tree == nil {
		return g.Version + " " + g.Sum, nil
	}
	digest, err := digestFile(filepath.Join(g.tree.dir, file))
	if err != nil {
		return "", fmt.Errorf("reading the checkout: %w", err)
	}
	return digest, nil
}

// moduleDir is the folder of a module of the graph, downloaded and verified.
func (b *builder) moduleDir(ctx context.Context, g *GraphInput, module string) (string, error) {
	if g.tree != nil {
		return g.tree.dir, nil
	}
	work, cleanup, err := g.workDir(b.cache)
	if err != nil {
		return "", err
	}
	defer cleanup()
	if err := b.goRun(ctx, work, nil, "mod", "download", module); err != nil {
		return "", err
	}
	var out tail
	err = b.goRun(ctx, work, &out, "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", module)
	return out.String(), err
}

// goRun runs a go command that may talk to the module proxy.
func (b *builder) goRun(ctx context.Context, dir string, stdout *tail, args ...string) error {
	cmd := exec.CommandContext(ctx, b.r.env.Go, args...)
	cmd.Dir, cmd.Env = dir, goEnv()
	if stdout != nil {
		cmd.Stdout = stdout
	}
	return runCommand(ctx, cmd, moduleProxy)
}

// goFolders are the toolchain's own folder and its module cache.
func (b *builder) goFolders(ctx context.Context) (root, modules string, err error) {
	var r, m tail
	if err := b.goRun(ctx, os.TempDir(), &r, "env", "GOROOT"); err != nil {
		return "", "", err
	}
	err = b.goRun(ctx, os.TempDir(), &m, "env", "GOMODCACHE")
	return r.String(), m.String(), err
}

func defaultJobs() int { return max(2, runtime.NumCPU()) }
