package nodeimage

import (
	"context"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/kluster-project/kluster/internal/nodespec"
)

// Options of a build.
type Options struct {
	// CacheDir keeps what was built; "" for kluster's folder in the user's
	// cache folder.
	CacheDir string
	// Sandbox runs what must run in a container.
	Sandbox Sandbox
	// Progress, if not nil, is told of every step. Calls may come from several
	// goroutines, one at a time.
	Progress func(Event)
	// Jobs is how many steps run at once; 0 for what the machine allows.
	Jobs int
}

// builder is one run of Build.
type builder struct {
	r        *Recipe
	opts     Options
	cache    *cache
	jobs     *semaphore.Weighted
	progress *progress

	builderImage v1.Image
}

// Build makes the image of a recipe, from the cache where it can. The image's
// layers are files of the cache, read when the image is.
func Build(ctx context.Context, r *Recipe, opts Options) (v1.Image, nodespec.Manifest, error) {
	c, err := openCache(opts.CacheDir)
	if err != nil {
		return nil, nodespec.Manifest{}, err
	}
	if opts.Jobs <= 0 {
		opts.Jobs = defaultJobs()
	}
	b := &builder{r: r, opts: opts, cache: c, jobs: semaphore.NewWeighted(int64(opts.Jobs))}
	b.progress = newProgress(c, opts.Progress, b.estimates())
	parts, err := b.parts(ctx)
	if err != nil {
		return nil, nodespec.Manifest{}, err
	}
	return b.assemble(ctx, parts)
}

// parts are what the layers are made of.
type parts struct {
	outputs map[string]string // graph or program name -> folder of its build
	roots   map[string]root
}

// parts builds, at once as far as Jobs allows, everything that depends on
// nothing else.
func (b *builder) parts(ctx context.Context) (*parts, error) {
	type slot struct {
		name string
		make func(context.Context) error
	}
	var slots []slot
	outputs := make([]string, len(b.r.Graphs))
	roots := make([]root, len(b.r.Roots))
	for i := range b.r.Graphs {
		if g := &b.r.Graphs[i]; !g.CGO {
			slots = append(slots, slot{g.Name, func(ctx context.Context) (err error) {
				outputs[i], err = b.goBuild(ctx, g)
				return err
			}})
		}
	}
	for i, r := range b.r.Roots {
		slots = append(slots, slot{r.Name, func(ctx context.Context) (err error) {
			roots[i], err = b.debianRoot(ctx, r)
			return err
		}})
	}
	g, ctx2 := errgroup.WithContext(ctx)
	for _, s := range slots {
		g.Go(func() error { return s.make(ctx2) })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	p := &parts{outputs: map[string]string{}, roots: map[string]root{}}
	for i, gr := range b.r.Graphs {
		p.outputs[gr.Name] = outputs[i]
	}
	for i, r := range b.r.Roots {
		p.roots[r.Name] = roots[i]
	}
	return p, b.inSandbox(ctx, p)
}

// step gives the output folder of a step from the cache, or makes it when it
// is its turn.
func (b *builder) step(ctx context.Context, name string, inputs any, fill func(dir string) error) (string, error) {
	key, err := stepKey(inputs)
	if err != nil {
		return "", err
	}
	made := false
	dir, err := b.cache.get(ctx, name, key, func(dir string) error {
		made = true
		if err := b.jobs.Acquire(ctx, 1); err != nil {
			return err
		}
		defer b.jobs.Release(1)
		start := time.Now()
		b.progress.started(name)
		err := fill(dir)
		b.progress.finished(name, time.Since(start), err)
		return err
	})
	if err == nil && !made {
		b.progress.cached(name)
	}
	return dir, wrapStep(name, err)
}

func joinComma(s []string) string { return strings.Join(s, ",") }
