package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/offline"
	nodeimage "github.com/kluster-project/kluster/node-image"
)

// SuiteSource gives the source of kluster's own test program for a version of
// Kubernetes, by file name.
type SuiteSource func(kubernetes string) map[string][]byte

// bundleWish is what a bundle is to be good for.
type bundleWish struct {
	kubernetes []string
	runtimes   []string
	e2e        bool
	source     SuiteSource
	addons     *addonJob // nil for none
}

// wishOf fills in the defaults, and refuses what cannot be had.
func (m *Manager) wishOf(kubernetes, runtimes []string, e2e bool, source SuiteSource, addons []string) (bundleWish, error) {
	w := bundleWish{runtimes: runtimes, e2e: e2e, source: source}
	if len(addons) > 0 {
		var err error
		if w.addons, err = m.newAddonJob(addons); err != nil {
			return w, err
		}
	}
	catalog, err := nodeimage.LoadCatalog()
	if err != nil {
		return w, err
	}
	if len(kubernetes) == 0 {
		kubernetes = []string{""}
	}
	for _, v := range kubernetes {
		k, err := catalog.Find(v)
		if err != nil {
			return w, err
		}
		if !slices.Contains(w.kubernetes, k.Version) {
			w.kubernetes = append(w.kubernetes, k.Version)
		}
		if !e2e {
			continue
		}
		if _, err := nodeimage.ConformanceImages(k.Version); err != nil {
			return w, failure.With(err, failure.Hint("leave out what runs of Kubernetes' specs need, with --no-e2e"))
		}
	}
	for _, name := range runtimes {
		if _, err := cri.Get(name); err != nil {
			return w, failure.With(fmt.Errorf("--runtime: %w", err), failure.Exit(failure.CodeUsage))
		}
	}
	if len(runtimes) == 0 {
		w.runtimes = []string{cri.Default}
	}
	w.runtimes = slices.DeleteFunc(cri.Names(), func(name string) bool { return !slices.Contains(w.runtimes, name) })
	return w, nil
}

// images are the node images that creates and runs of specs ask for: for clusters of
// each container runtime alone and, where there are several, of all of them together;
// each without and with what specs start.
func (w bundleWish) images() []ImageOptions {
	sets := [][]string{}
	for _, r := range w.runtimes {
		sets = append(sets, []string{r})
	}
	if len(w.runtimes) > 1 {
		sets = append(sets, w.runtimes)
	}
	var specs []ImageOptions
	for _, v := range w.kubernetes {
		for _, set := range sets {
			specs = append(specs, ImageOptions{Kubernetes: v, Runtimes: set})
			if w.e2e {
				specs = append(specs, ImageOptions{Kubernetes: v, Runtimes: set, Conformance: true})
			}
		}
	}
	return specs
}

func (w bundleWish) suite(kubernetes string) nodeimage.SuiteSpec {
	return nodeimage.SuiteSpec{Kubernetes: kubernetes, Main: w.source(kubernetes)}
}

// names are those of all images and outputs of the wish, as this kluster looks for
// them where the version of Go is one of toolchains.
func (m *Manager) bundleNames(ctx context.Context, w bundleWish, toolchains []string) (map[string]bool, error) {
	names := map[string]bool{}
	for _, toolchain := range toolchains {
		for _, spec := range w.images() {
			spec.NodeBinary = m.nodeBin
			r, err := nodeimage.Resolve(ctx, spec, nodeimage.Env{Toolchain: toolchain})
			if err != nil {
				return nil, err
			}
			names[r.Ref()] = true
		}
		if w.addons != nil {
			kept, err := nodeimage.KeptAddonNames(ctx, w.addons.refs, w.addons.moduleFiles(), toolchain)
			if err != nil {
				return nil, err
			}
			for _, name := range kept {
				names[name] = true
			}
		}
		if !w.e2e {
			continue
		}
		for _, v := range w.kubernetes {
			kept, err := nodeimage.KeptNames(ctx, w.suite(v), toolchain)
			if err != nil {
				return nil, err
			}
			for _, name := range kept {
				names[name] = true
			}
		}
	}
	return names, nil
}

// otherKluster refuses a bundle of which this kluster would not find something.
func otherKluster(c offline.Contents, why string) error {
	return failure.New(fmt.Sprintf("the bundle was made by another kluster (%s): %s", c.Kluster, why), failure.Exit(failure.CodeUsage),
		failure.Hint("use the programs that are in it: tar -xf BUNDLE %s", strings.Join(offline.Programs, " ")))
}
