package nodeimage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/nodespec"
)

// Kept is an output of the cache that a machine without Go can be given.
type Kept struct {
	Name string // "suite-0123456789abcdef0123"
	Dir  string // see UseCache
}

// KeepE2E makes all that e2e runs of a version need besides a node image: the suite of
// spec, and the conformance images of its version. It returns the errors of BuildSuite
// and BuildArchive.
func KeepE2E(ctx context.Context, spec SuiteSpec, opts Options) ([]Kept, error) {
	c, err := LoadCatalog()
	if err != nil {
		return nil, err
	}
	return keepE2E(ctx, c, spec, Env{}, opts)
}

func keepE2E(ctx context.Context, c *Catalog, spec SuiteSpec, env Env, opts Options) ([]Kept, error) {
	suite, err := buildSuite(ctx, c, spec, env, opts)
	if err != nil {
		return nil, err
	}
	images, err := conformanceSet(c, Spec{Kubernetes: spec.Kubernetes, Arch: spec.Arch}).keep(ctx, env, opts)
	if err != nil {
		return nil, err
	}
	return []Kept{{filepath.Base(suite.Dir), suite.Dir}, {filepath.Base(images), images}}, nil
}

// KeptNames are the names of what KeepE2E gives when the version of Go is toolchain.
func KeptNames(ctx context.Context, spec SuiteSpec, toolchain string) ([]string, error) {
	c, err := LoadCatalog()
	if err != nil {
		return nil, err
	}
	env := Env{Toolchain: toolchain}
	suite, err := suiteStep(ctx, c, spec, env)
	if err != nil {
		return nil, err
	}
	images, err := conformanceSet(c, Spec{Kubernetes: spec.Kubernetes, Arch: spec.Arch}).step(ctx, env)
	return []string{suite, images}, err
}

// Put places an output in the cache in dir ("" for the usual one), whose folder fill
// makes: whole or not at all. One that is there stays.
func Put(ctx context.Context, dir, name string, fill func(dir string) error) error {
	c, err := openCache(dir)
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.brought(name), nil, 0o644); err != nil {
		return diskError(err)
	}
	_, err = c.getNamed(ctx, name, fill)
	return err
}

// brought is the file that marks an output that was made elsewhere. It does not lie in
// the output, of which all files may count.
func (c *cache) brought(step string) string { return filepath.Join(c.dir, "brought", step) }

// NoteImage notes in the cache in dir ("" for the usual one) that an image of the engine was
// made elsewhere; see Brought.
func NoteImage(dir, ref string) error {
	c, err := openCache(dir)
	if err != nil {
		return err
	}
	return diskError(os.WriteFile(c.brought(imageNote(ref)), nil, 0o644))
}

// Brought says whether an image of the engine was made elsewhere, so that this machine
// may not be able to make it again.
func Brought(dir, ref string) (bool, error) {
	c, err := openCache(dir)
	if err != nil {
		return false, err
	}
	_, err = os.Stat(c.brought(imageNote(ref)))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// ForgetImage removes the note of an image that has gone, if there is one.
func ForgetImage(dir, ref string) error {
	c, err := openCache(dir)
	if err != nil {
		return err
	}
	if err := os.Remove(c.brought(imageNote(ref))); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("forgetting image %s: %w", ref, err)
	}
	return nil
}

// imageNote is an image's name as that of a file. No output is called so.
func imageNote(ref string) string { return "image@" + strings.ReplaceAll(ref, "/", "_") }

// imageSet pins the inputs of some container images, and names the images.
type imageSet func(ctx context.Context, env Env) (*Recipe, []string, error)

// step names the output with the images of a set.
func (s imageSet) step(ctx context.Context, env Env) (string, error) {
	r, _, err := s(ctx, env)
	if err != nil {
		return "", err
	}
	if err := r.seal(); err != nil {
		return "", err
	}
	return outputName("images", r.digest)
}

// conformanceSet is all conformance images of a version.
func conformanceSet(c *Catalog, spec Spec) imageSet {
	return func(ctx context.Context, env Env) (*Recipe, []string, error) {
		k, err := c.Find(spec.Kubernetes)
		if err != nil {
			return nil, nil, err
		}
		all, err := c.conformanceImages(k)
		if err != nil {
			return nil, nil, err
		}
		var refs []string
		for _, img := range all {
			refs = append(refs, img.Ref)
		}
		r, err := resolveArchive(ctx, c, spec, refs, env)
		return r, refs, err
	}
}

// recordsFile lies in the folder of kept images and says what they are.
const recordsFile = "images.json"

// keep makes the folder with the images of a set.
func (s imageSet) keep(ctx context.Context, env Env, opts Options) (string, error) {
	cache, err := openCache(opts.CacheDir)
	if err != nil {
		return "", err
	}
	dir, err := cache.find(env, func(env Env) (string, error) { return s.step(ctx, env) })
	if err != nil || dir != "" {
		return dir, err
	}
	step, err := s.step(ctx, env)
	if err != nil {
		return "", err
	}
	return cache.getNamed(ctx, step, func(dir string) error {
		r, refs, err := s(ctx, env)
		if err != nil {
			return err
		}
		a, err := r.archive(ctx, refs, opts)
		if err != nil {
			return err
		}
		records, err := json.Marshal(a.records)
		if err != nil {
			return fmt.Errorf("encoding the list of images: %w", err)
		}
		if err := a.layout.save(dir); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, recordsFile), records, 0o644)
	})
}

// kept takes those images that refs name out of a folder that keep made; nil where there
// is none.
func (s imageSet) kept(ctx context.Context, refs []string, env Env, opts Options) (*Archive, error) {
	cache, err := openCache(opts.CacheDir)
	if err != nil {
		return nil, err
	}
	dir, err := cache.find(env, func(env Env) (string, error) { return s.step(ctx, env) })
	if dir == "" || err != nil {
		return nil, err
	}
	var all []nodespec.ImageRecord
	data, err := os.ReadFile(filepath.Join(dir, recordsFile))
	if err == nil {
		err = json.Unmarshal(data, &all)
	}
	if err != nil {
		return nil, fmt.Errorf("reading kept images: %w", err)
	}
	for _, ref := range refs {
		if !slices.ContainsFunc(all, func(r nodespec.ImageRecord) bool { return r.Ref == ref }) {
			return nil, nil // resolveArchive says what is known
		}
	}
	a := &Archive{records: slices.DeleteFunc(all, func(r nodespec.ImageRecord) bool { return !slices.Contains(refs, r.Ref) })}
	if a.layout, err = openLayout(dir, refs); err != nil {
		return nil, fmt.Errorf("reading kept images: %s: %w", dir, err)
	}
	return a, nil
}

// openLayout reads a folder that save made, as far as images named by refs go.
func openLayout(dir string, refs []string) (ociLayout, error) {
	l := ociLayout{version: layoutVersion}
	text, err := os.ReadFile(filepath.Join(dir, indexFile))
	if err != nil {
		return l, err
	}
	index, err := v1.ParseIndexManifest(bytes.NewReader(text))
	if err != nil {
		return l, err
	}
	index.Manifests = slices.DeleteFunc(index.Manifests, func(d v1.Descriptor) bool { return !slices.Contains(refs, d.Annotations[imageName]) })
	seen := map[string]bool{}
	for _, d := range index.Manifests {
		f, err := os.Open(filepath.Join(dir, blobName(d.Digest.String())))
		if err != nil {
			return l, err
		}
		m, err := v1.ParseManifest(f)
		f.Close()
		if err != nil {
			return l, err
		}
		for _, d := range append(slices.Clone(m.Layers), m.Config, d) {
			if hex := d.Digest.Hex; !seen[hex] {
				seen[hex] = true
				l.blobs = append(l.blobs, blob{hex: hex, path: filepath.Join(dir, blobName(d.Digest.String())), size: d.Size})
			}
		}
	}
	l.index, err = json.Marshal(index)
	return l, err
}

// toolchainsFile of the cache lists the versions of Go that made what was brought here,
// a line each, the newest first.
const toolchainsFile = "toolchains"

// AddToolchain has what was made with a version of Go found in the cache in dir ("" for
// the usual one), whatever Go this machine has.
func AddToolchain(ctx context.Context, dir, version string) error {
	c, err := openCache(dir)
	if err != nil {
		return err
	}
	unlock, err := lockFile(ctx, filepath.Join(c.dir, "locks", toolchainsFile), syscall.LOCK_EX)
	if err != nil {
		return err
	}
	defer unlock()
	had, err := c.toolchains()
	if err != nil {
		return err
	}
	lines := append([]string{version}, slices.DeleteFunc(had, func(v string) bool { return v == version })...)
	f, err := os.CreateTemp(filepath.Join(c.dir, "tmp"), toolchainsFile+"-")
	if err != nil {
		return diskError(err)
	}
	_, err = f.WriteString(strings.Join(lines, "\n") + "\n")
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(c.dir, toolchainsFile))
	}
	return diskError(err)
}

// toolchains are the versions that AddToolchain was told of.
func (c *cache) toolchains() ([]string, error) {
	data, err := os.ReadFile(filepath.Join(c.dir, toolchainsFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading which bundles were loaded: %w", err)
	}
	return strings.Fields(string(data)), nil
}

// Toolchains are the versions of Go by which images and outputs are looked for: that of
// the go command, if there is one, and those of bundles that were loaded into the cache
// in dir.
func Toolchains(ctx context.Context, dir string) ([]string, error) {
	c, err := openCache(dir)
	if err != nil {
		return nil, err
	}
	versions, err := c.toolchains()
	if err != nil {
		return nil, err
	}
	own, err := goVersion(ctx, Env{}.withDefaults().Go)
	if isToolchainError(err) {
		return versions, nil
	}
	if err != nil || slices.Contains(versions, own) {
		return versions, err
	}
	return append([]string{own}, versions...), nil
}

// find looks for an output whose name depends on the version of Go: as env has it, else
// as bundles that were loaded have it. It gives "" if there is none, and an error if it
// could not be made either.
func (c *cache) find(env Env, name func(Env) (string, error)) (dir string, err error) {
	step, err := name(env)
	if err == nil && isMade(c.path(step)) {
		return c.path(step), nil
	}
	if err != nil && !isToolchainError(err) {
		return "", err
	}
	others, readErr := c.toolchains()
	if readErr != nil {
		return "", readErr
	}
	for _, env.Toolchain = range others {
		if step, err := name(env); err == nil && isMade(c.path(step)) {
			return c.path(step), nil
		}
	}
	return "", withoutGo(err, others)
}

// Find resolves spec to the recipe of an image that is held: as this machine would
// build it, else as it was in a bundle that was loaded into the cache in dir. If none is
// held it gives the first, to be built, or the error of Resolve.
func Find(ctx context.Context, spec Spec, dir string, held func(ref string) (bool, error)) (r *Recipe, found bool, err error) {
	return find(ctx, spec, Env{}, dir, held)
}

func find(ctx context.Context, spec Spec, env Env, dir string, held func(ref string) (bool, error)) (*Recipe, bool, error) {
	first, err := Resolve(ctx, spec, env)
	if err == nil {
		if found, err := held(first.Ref()); found || err != nil {
			return first, found, err
		}
	} else if !isToolchainError(err) {
		return nil, false, err
	}
	c, openErr := openCache(dir)
	if openErr != nil {
		return nil, false, openErr
	}
	others, readErr := c.toolchains()
	if readErr != nil {
		return nil, false, readErr
	}
	for _, env.Toolchain = range others {
		r, err := Resolve(ctx, spec, env)
		if err != nil {
			continue // the first error says what is wrong
		}
		if found, err := held(r.Ref()); found || err != nil {
			return r, found, err
		}
	}
	return first, false, withoutGo(err, others)
}

func isToolchainError(err error) bool {
	var missing *ToolchainError
	return errors.As(err, &missing)
}

// withoutGo says of an error of the toolchain that bundles do not help.
func withoutGo(err error, loaded []string) error {
	if err == nil || len(loaded) == 0 {
		return err
	}
	return failure.With(err, failure.Hint("no bundle that was loaded here holds this; load one that does (kluster bundle save --help), or install Go"))
}
