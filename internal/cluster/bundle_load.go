package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/offline"
	"github.com/kluster-project/kluster/internal/status"
	nodeimage "github.com/kluster-project/kluster/node-image"
	"github.com/kluster-project/kluster/provider"
)

// bundleLoad is a load of a bundle under way: its steps, each after the other.
type bundleLoad struct {
	m      *Manager
	source SuiteSource
	b      *offline.Bundle
}

// LoadBundle brings what a bundle holds into the engine and the cache. Before all of it
// was checked nothing is changed. Each image and each output appears whole or not at
// all, so that a load that was interrupted can be done again.
func (m *Manager) LoadBundle(ctx context.Context, r io.ReaderAt, size int64, source SuiteSource) (*BundleInfo, error) {
	began := time.Now()
	if err := findNodeBinary(m.nodeBin); err != nil {
		return nil, err
	}
	b, err := offline.Open(r, size)
	if err != nil {
		return nil, err
	}
	l := &bundleLoad{m: m, source: source, b: b}
	for _, step := range []struct {
		name string
		run  func(context.Context, status.Step) error
	}{
		{"", l.fits},
		{"checking the bundle", l.verify},
		{"loading node images", l.images},
		{"unpacking programs and images of the specs", l.outputs},
		{"", l.toolchains},
	} {
		shown := status.Discard
		if step.name != "" {
			shown = m.reporter.Step(step.name, 0)
		}
		err := step.run(ctx, shown)
		shown.End(err)
		if err != nil {
			return nil, err
		}
	}
	return &BundleInfo{Contents: b.Contents, Size: size, Seconds: time.Since(began).Seconds()}, nil
}

// fits sees that this machine and this kluster can use the bundle.
func (l *bundleLoad) fits(ctx context.Context, _ status.Step) error {
	host, err := l.m.provider.Host(ctx)
	if err != nil {
		return err
	}
	if l.b.Arch != host.Arch {
		return failure.New(fmt.Sprintf("the bundle is for %s, and the engine's machine is %s", l.b.Arch, host.Arch), failure.Exit(failure.CodeUsage),
			failure.Hint("save one on a machine of that architecture"))
	}
	wish, err := l.m.wishOf(l.b.Kubernetes, l.b.Runtimes, l.b.E2E, l.source, l.b.Addons)
	if err != nil {
		return otherKluster(l.b.Contents, err.Error())
	}
	known, err := l.m.bundleNames(ctx, wish, l.b.Go)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return otherKluster(l.b.Contents, err.Error())
	}
	for _, name := range slices.Concat(l.b.Contents.Images, l.b.Contents.Outputs) {
		if !known[name] {
			return otherKluster(l.b.Contents, fmt.Sprintf("this one would not use its %s", name))
		}
	}
	return nil
}

func (l *bundleLoad) verify(ctx context.Context, step status.Step) error {
	if err := l.b.Verify(ctx, step.Progress); err != nil {
		return err
	}
	var images, outputs []string
	for _, img := range l.b.Images {
		images = append(images, img.Ref)
	}
	for _, out := range l.b.Outputs {
		outputs = append(outputs, out.Name)
	}
	if !slices.Equal(images, l.b.Contents.Images) || !slices.Equal(outputs, l.b.Contents.Outputs) {
		return &offline.DamagedError{Why: "it does not hold what it says"}
	}
	return nil
}

// images brings those into the engine that it does not hold.
func (l *bundleLoad) images(ctx context.Context, step status.Step) error {
	for _, img := range l.b.Images {
		id, err := img.ConfigName()
		if err != nil {
			return fmt.Errorf("image %s: %w", img.Ref, err)
		}
		if err := nodeimage.NoteImage(l.m.cacheDir, img.Ref); err != nil {
			return err
		}
		held, err := l.m.provider.Image(ctx, img.Ref)
		if err != nil && !errors.Is(err, provider.ErrNotFound) {
			return err
		}
		if err == nil && held.ID == id.String() {
			continue
		}
		load := step.Step(img.Ref, 0)
		err = l.m.provider.LoadImage(ctx, img.Ref, img, load.Progress)
		load.End(err)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// outputs brings those into the cache that it does not hold.
func (l *bundleLoad) outputs(ctx context.Context, step status.Step) error {
	release, err := nodeimage.UseCache(ctx, l.m.cacheDir)
	if err != nil {
		return err
	}
	defer release()
	var done, total int64
	for _, out := range l.b.Outputs {
		total += out.Size()
	}
	for _, out := range l.b.Outputs {
		err := nodeimage.Put(ctx, l.m.cacheDir, out.Name, func(dir string) error {
			return out.Unpack(ctx, dir, func(n int64) {
				done += n
				step.Progress(done, total)
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// toolchains come last: they make kluster look for what was brought.
func (l *bundleLoad) toolchains(ctx context.Context, _ status.Step) error {
	for _, v := range slices.Backward(l.b.Go) {
		if err := nodeimage.AddToolchain(ctx, l.m.cacheDir, v); err != nil {
			return err
		}
	}
	return nil
}
