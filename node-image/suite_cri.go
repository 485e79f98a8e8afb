package nodeimage

import (
	"context"
	"path/filepath"
	"time"
)

// PartCRI is cri-tools' validation of container runtimes (critest), a program of
// tests. It needs nothing of the machine that it runs on but the runtime.
const PartCRI = "critest.test"

// BuildCRITests makes PartCRI, from the cache where it can. It returns the errors of
// Resolve and Build.
func BuildCRITests(ctx context.Context, opts Options) (Suite, error) {
	c, err := LoadCatalog()
	if err != nil {
		return Suite{}, err
	}
	return buildCRITests(ctx, c, Spec{}, Env{}, opts)
}

func buildCRITests(ctx context.Context, c *Catalog, spec Spec, env Env, opts Options) (Suite, error) {
	if err := check(c, &spec); err != nil {
		return Suite{}, err
	}
	x := resolver{c: c, spec: spec}
	if err := x.begin(ctx, env); err != nil {
		return Suite{}, err
	}
	in, err := x.graph(*c.graph(c.CRI.Graph))
	if err != nil {
		return Suite{}, err
	}
	x.r.Graphs = []GraphInput{in}
	if err := x.toolchain(ctx); err != nil {
		return Suite{}, err
	}
	x.r.steps = map[string]time.Duration{testStep(PartCRI): c.CRI.Estimate}
	b, err := newBuilder(x.r, opts)
	if err != nil {
		return Suite{}, err
	}
	s := suiteBuild{builder: b, graph: x.r.graph(c.CRI.Graph)}
	f, err := s.testProgram(ctx, PartCRI, c.CRI.Test, nil)
	if err != nil {
		return Suite{}, err
	}
	return Suite{Dir: filepath.Dir(f.from), Parts: []SuitePart{f.SuitePart}}, nil
}
