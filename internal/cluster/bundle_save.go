package cluster

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/kluster-project/kluster/internal/offline"
	"github.com/kluster-project/kluster/internal/status"
	nodeimage "github.com/kluster-project/kluster/node-image"
	"github.com/kluster-project/kluster/provider"
)

// SaveOptions say what goes into a bundle.
type SaveOptions struct {
	Kubernetes []string // versions; none for the default
	Runtimes   []string // container runtimes; none for the default
	E2E        bool     // what runs of Kubernetes' specs need
	Source     SuiteSource
	Addons     []string // by name, with those that they require
	// Program is kluster's own program, and Version what it is called.
	Program, Version string
}

// BundleInfo is a bundle that was written or loaded.
type BundleInfo struct {
	offline.Contents
	Size    int64   `json:"size"` // bytes
	Seconds float64 `json:"seconds"`
}

// bundleSave is a save under way.
type bundleSave struct {
	m        *Manager
	opt      SaveOptions
	wish     bundleWish
	contents offline.Contents
	images   []provider.Image // of contents.Images
	outputs  []nodeimage.Kept // of contents.Outputs
	read     int64            // bytes of them
}

// SaveBundle writes a bundle: all that is needed to make clusters and to run specs on
// a machine that has nothing but an engine. What is missing is built first.
func (m *Manager) SaveBundle(ctx context.Context, w io.Writer, opt SaveOptions) (*BundleInfo, error) {
	began := time.Now()
	wish, err := m.wishOf(opt.Kubernetes, opt.Runtimes, opt.E2E, opt.Source, opt.Addons)
	if err != nil {
		return nil, err
	}
	if err := findNodeBinary(m.nodeBin); err != nil {
		return nil, err
	}
	release, err := nodeimage.UseCache(ctx, m.cacheDir)
	if err != nil {
		return nil, err
	}
	defer release()
	s := &bundleSave{m: m, opt: opt, wish: wish, contents: offline.Contents{
		Format: offline.Format, Kluster: opt.Version, Arch: runtime.GOARCH, Kubernetes: wish.kubernetes, Runtimes: wish.runtimes, E2E: wish.e2e,
		Addons: []string{}, Images: []string{}, Outputs: []string{},
	}}
	for _, prepare := range []func(context.Context) error{s.ensureImages, s.ensureOutputs, s.ensureAddons, s.toolchains} {
		if err := prepare(ctx); err != nil {
			return nil, err
		}
	}
	step := m.reporter.Step("writing the bundle", 0)
	size, err := s.write(ctx, w, step)
	step.End(err)
	if err != nil {
		return nil, err
	}
	return &BundleInfo{Contents: s.contents, Size: size, Seconds: time.Since(began).Seconds()}, nil
}

func (s *bundleSave) ensureImages(ctx context.Context) (err error) {
	step := s.m.reporter.Step("node images", 0)
	defer func() { step.End(err) }()
	for _, spec := range s.wish.images() {
		ref, err := s.m.EnsureImage(ctx, spec, step)
		if err != nil {
			return err
		}
		img, err := s.m.provider.Image(ctx, ref)
		if err != nil {
			return err
		}
		s.contents.Images, s.images = append(s.contents.Images, ref), append(s.images, img)
	}
	return nil
}

func (s *bundleSave) ensureOutputs(ctx context.Context) (err error) {
	if !s.wish.e2e {
		return nil
	}
	step := s.m.reporter.Step("programs and images of the specs", 0)
	defer func() { step.End(err) }()
	for _, v := range s.wish.kubernetes {
		kept, err := nodeimage.KeepE2E(ctx, s.wish.suite(v), nodeimage.Options{CacheDir: s.m.cacheDir, Sandbox: sandbox{s.m.provider}, Progress: step})
		if err != nil {
			return err
		}
		for _, k := range kept {
			s.contents.Outputs, s.outputs = append(s.contents.Outputs, k.Name), append(s.outputs, k)
		}
	}
	return nil
}

// ensureAddons makes what add-ons need.
func (s *bundleSave) ensureAddons(ctx context.Context) (err error) {
	if s.wish.addons == nil {
		return nil
	}
	step := s.m.reporter.Step(addonArtifacts, 0)
	defer func() { step.End(err) }()
	j := s.wish.addons
	kept, err := nodeimage.KeepAddons(ctx, j.refs, j.moduleFiles(), s.m.buildOptions(step))
	if err != nil {
		return err
	}
	for _, a := range j.all {
		s.contents.Addons = append(s.contents.Addons, a.Name)
	}
	for _, k := range kept {
		s.contents.Outputs, s.outputs = append(s.contents.Outputs, k.Name), append(s.outputs, k)
	}
	return nil
}

func (s *bundleSave) toolchains(ctx context.Context) (err error) {
	s.contents.Go, err = nodeimage.Toolchains(ctx, s.m.cacheDir)
	return err
}

func (s *bundleSave) write(ctx context.Context, w io.Writer, step status.Step) (size int64, err error) {
	total, err := s.total()
	if err != nil {
		return 0, err
	}
	tell := func(n int64) {
		s.read += n
		step.Progress(min(s.read, total), total)
	}
	tmp, err := nodeimage.TempDir(s.m.cacheDir)
	if err != nil {
		return 0, err
	}
	b, err := offline.NewWriter(&during{ctx, w}, tmp, s.contents, []string{s.opt.Program, s.m.nodeBin})
	if err != nil {
		return 0, err
	}
	for i, img := range s.images {
		if err := s.image(ctx, b, s.contents.Images[i], img, tell); err != nil {
			return 0, err
		}
	}
	for _, k := range s.outputs {
		if err := b.Output(k.Name, k.Dir, tell); err != nil {
			return 0, err
		}
	}
	err = b.Close()
	return b.Size(), err
}

// total is about how many bytes will be read: what images share is read once.
func (s *bundleSave) total() (bytes int64, err error) {
	for _, img := range s.images {
		bytes = max(bytes, img.Size) // the others are little more
	}
	for _, k := range s.outputs {
		n, err := nodeimage.SizeOf(k.Dir)
		if err != nil {
			return 0, fmt.Errorf("measuring %s: %w", k.Name, err)
		}
		bytes += n
	}
	return bytes, nil
}

// image writes the layers of an image that were not written yet, and its name.
func (s *bundleSave) image(ctx context.Context, b *offline.Writer, ref string, img provider.Image, tell func(n int64)) error {
	wanted := map[string]bool{}
	for _, id := range img.DiffIDs {
		wanted[id] = !b.HasLayer(id)
	}
	content, err := s.m.provider.ReadImage(ctx, ref, wanted, func(l provider.ImageLayer, r io.Reader) error {
		plain := io.Reader(&told{r, tell})
		if l.Compressed {
			z, err := gzip.NewReader(plain)
			if err != nil {
				return fmt.Errorf("layer %s: %w", l.DiffID, err)
			}
			defer z.Close()
			plain = z
		}
		return b.Layer(l.DiffID, plain)
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	return b.Image(ref, content.Config)
}

// told is a reader that tells how much was read of it.
type told struct {
	r    io.Reader
	tell func(n int64)
}

func (t *told) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	t.tell(int64(n))
	return n, err
}

// during is a writer that fails when a context ends.
type during struct {
	ctx context.Context //nolint:containedctx // that is what it is for
	w   io.Writer
}

func (d *during) Write(p []byte) (int, error) {
	if d.ctx.Err() != nil {
		return 0, context.Cause(d.ctx)
	}
	n, err := d.w.Write(p)
	if err != nil && !errors.Is(err, context.Cause(d.ctx)) {
		err = fmt.Errorf("writing the bundle: %w", err)
	}
	return n, err
}
