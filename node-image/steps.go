package nodeimage

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"
)

// step gives the output folder of a step from the cache, or makes it when it
// is its turn.
func (b *builder) step(ctx context.Context, name string, inputs any, fill func(dir string) error) (string, error) {
	key, err := stepKey(inputs)
	if err != nil {
		return "", err
	}
	dir, err := b.cache.get(ctx, name, key, func(dir string) error {
		if err := b.jobs.Acquire(ctx, 1); err != nil {
			return err
		}
		defer b.jobs.Release(1)
		done := b.clock.start(name)
		err := fill(dir)
		done(err)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("%s: %w", title(name), err)
	}
	b.clock.end(name, 0)
	return dir, nil
}

// titles turn the names of steps, which are names of folders, into what people
// read.
var titles = []struct{ prefix, text string }{
	{"build-", "compiling %s"},
	{"test-", "compiling %s"},
	{"download-", "downloading %s"},
	{"release-", "unpacking %s"},
	{"root-", "installing Debian packages (%s)"},
	{"layer-", "packing %s"},
	{"image-", "making image %s"},
	{"file-", "copying %s"},
	{"store-", "unpacking the images for %s"},
}

func title(step string) string {
	for _, t := range titles {
		if rest, ok := strings.CutPrefix(step, t.prefix); ok {
			return fmt.Sprintf(t.text, rest)
		}
	}
	return step
}

// estimates are the steps of the recipe that take long, with the catalog's
// estimates.
func (r *Recipe) estimates() (map[string]time.Duration, error) {
	c, err := LoadCatalog()
	if err != nil {
		return nil, err
	}
	out := map[string]time.Duration{}
	maps.Copy(out, r.steps)
	for _, g := range r.Graphs {
		out["build-"+g.Name] = c.graph(g.Name).Estimate
	}
	for _, prog := range r.Programs {
		if prog.Kind == KindRelease {
			out[prog.downloadStep()] = downloadEstimate
		}
	}
	for _, root := range r.Roots {
		out["root-"+root.Name] = root.Estimate
	}
	return out, nil
}

const (
	storeEstimate    = 30 * time.Second
	mainEstimate     = 20 * time.Second
	downloadEstimate = 5 * time.Second
)
