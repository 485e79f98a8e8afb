package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/status"
	nodeimage "github.com/kluster-project/kluster/node-image"
	"github.com/kluster-project/kluster/provider"
)

// ImageOptions are the node image that is wanted.
type ImageOptions = nodeimage.Spec

// EnsureImage gives the name of the image of spec, which the engine holds when
// it returns; it is built first when the engine has none.
func (m *Manager) EnsureImage(ctx context.Context, spec ImageOptions, step status.Step) (string, error) {
	if spec.NodeBinary == "" {
		spec.NodeBinary = m.nodeBin
	}
	if err := findNodeBinary(spec.NodeBinary); err != nil {
		return "", err
	}
	recipe, found, err := nodeimage.Find(ctx, spec, m.cacheDir, func(ref string) (bool, error) { return m.holds(ctx, ref) })
	if err != nil {
		return "", err
	}
	if found {
		return recipe.Ref(), nil
	}
	return recipe.Ref(), m.buildAndLoad(ctx, recipe, step)
}

// holds says whether the engine has an image.
func (m *Manager) holds(ctx context.Context, ref string) (bool, error) {
	_, err := m.provider.Image(ctx, ref)
	if errors.Is(err, provider.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// findNodeBinary says what to do where kluster was copied without its other half.
func findNodeBinary(path string) error {
	if path == "" {
		return nil
	}
	if _, err := os.Stat(path); err != nil {
		return failure.With(fmt.Errorf("finding the program that goes into nodes: %w", err),
			failure.Hint("kluster-node belongs beside the kluster program: \"make build\" builds both"), failure.Exit(failure.CodeHost))
	}
	return nil
}

func (m *Manager) buildAndLoad(ctx context.Context, recipe *nodeimage.Recipe, step status.Step) error {
	if err := m.sweepBuilds(ctx); err != nil {
		return err
	}
	release, err := nodeimage.UseCache(ctx, m.cacheDir)
	if err != nil {
		return err
	}
	defer release()
	img, _, err := nodeimage.Build(ctx, recipe, nodeimage.Options{
		CacheDir: m.cacheDir, Sandbox: sandbox{m.provider}, Progress: step,
	})
	if isDiskFull(err) {
		return m.fullCacheError(err)
	}
	if err != nil {
		return err
	}
	load := step.Step("loading into the engine", 0)
	err = m.provider.LoadImage(ctx, recipe.Ref(), img, load.Progress)
	load.End(err)
	return err
}

// cacheNeed is what a build of all components takes of the cache.
const cacheNeed = "5 GB"

// isDiskFull says whether a disk of this machine is full, and not the engine's. Programs
// that a build runs say so in their output.
func isDiskFull(err error) bool {
	var inMachine *provider.ExecError
	if err == nil || errors.Is(err, provider.ErrNoSpace) || errors.As(err, &inMachine) {
		return false
	}
	said := err.Error() + strings.Join(failure.Outputs(err), "")
	return errors.Is(err, syscall.ENOSPC) || strings.Contains(said, syscall.ENOSPC.Error())
}

// fullCacheError says what a build would have needed.
func (m *Manager) fullCacheError(err error) error {
	return failure.With(err, failure.Exit(failure.CodeHost), failure.Hint(
		"a build of everything needs %s in the cache (%s) and some in %s: make room there (kluster prune removes what nothing uses), or name another folder with KLUSTER_CACHE; what was built is kept, and the next build goes on from there",
		cacheNeed, m.cacheDir, os.TempDir()))
}

// BuildImage is EnsureImage for a user who asked for the image itself.
func (m *Manager) BuildImage(ctx context.Context, spec ImageOptions) (ImageInfo, error) {
	step := m.reporter.Step("node image", 0)
	ref, err := m.EnsureImage(ctx, spec, step)
	step.End(err)
	if err != nil {
		return ImageInfo{}, err
	}
	img, err := m.provider.Image(ctx, ref)
	if err != nil {
		return ImageInfo{}, err
	}
	manifest, err := manifestOf(img)
	if err != nil {
		return ImageInfo{}, fmt.Errorf("image %s: %w", ref, err)
	}
	return ImageInfo{Ref: ref, ID: img.ID, Size: img.Size, Manifest: manifest}, nil
}
