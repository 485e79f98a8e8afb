package nodeimage

import (
	"context"
	"sync"

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
	Sandbox  Sandbox
	Progress Progress // may be nil
	// Jobs is how many steps run at once; 0 for what the machine allows.
	Jobs int
}

// builder is one run of Build.
type builder struct {
	r     *Recipe
	opts  Options
	cache *cache
	jobs  *semaphore.Weighted
	clock *clock
}

// Build makes the image of a recipe, from the cache where it can. The image's
// layers are files of the cache, read when the image is: see UseCache.
func Build(ctx context.Context, r *Recipe, opts Options) (v1.Image, nodespec.Manifest, error) {
	b, err := newBuilder(r, opts)
	if err != nil {
		return nil, nodespec.Manifest{}, err
	}
	p, err := b.parts(ctx)
	if err != nil {
		return nil, nodespec.Manifest{}, err
	}
	return b.assemble(ctx, p)
}

func newBuilder(r *Recipe, opts Options) (*builder, error) {
	c, err := openCache(opts.CacheDir)
	if err != nil {
		return nil, err
	}
	estimates, err := r.estimates()
	if err != nil {
		return nil, err
	}
	if opts.Jobs <= 0 {
		opts.Jobs = defaultJobs()
	}
	return &builder{r: r, opts: opts, cache: c, jobs: semaphore.NewWeighted(int64(opts.Jobs)), clock: newClock(c, opts.Progress, estimates)}, nil
}

// parts are what the layers are made of.
type parts struct {
	outputs map[string]string // graph, or program built by itself -> folder
	roots   map[string]root

	mu sync.Mutex
}

func (p *parts) setOutput(name, dir string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.outputs[name] = dir
}

func (p *parts) setRoot(name string, r root) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.roots[name] = r
}

// parts makes, at once as far as Jobs allows, all that layers are made of.
func (b *builder) parts(ctx context.Context) (*parts, error) {
	p := &parts{outputs: map[string]string{}, roots: map[string]root{}}
	g, ctx := errgroup.WithContext(ctx)
	for _, r := range b.r.Roots {
		g.Go(func() error { return b.makeRoot(ctx, p, r) })
	}
	for i := range b.r.Graphs {
		if graph := &b.r.Graphs[i]; !graph.CGO && len(graph.Packages) > 0 {
			g.Go(func() error { return b.makeGraph(ctx, p, graph) })
		}
	}
	for i := range b.r.Programs {
		if prog := &b.r.Programs[i]; prog.Kind == KindRelease {
			g.Go(func() error {
				dir, err := b.published(ctx, prog)
				p.setOutput(prog.Name, dir)
				return err
			})
		}
	}
	return p, g.Wait()
}

func (b *builder) makeGraph(ctx context.Context, p *parts, g *GraphInput) error {
	dir, err := b.goBuild(ctx, g, nil)
	p.setOutput(g.Name, dir)
	return err
}

// makeRoot makes a root; the builder's is put to work at once.
func (b *builder) makeRoot(ctx context.Context, p *parts, r Root) error {
	made, err := b.debianRoot(ctx, r)
	if err != nil {
		return err
	}
	p.setRoot(r.Name, made)
	if r.Name == builderRoot {
		return b.inSandbox(ctx, p, made)
	}
	return nil
}
