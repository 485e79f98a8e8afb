package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/kluster-project/kluster/internal/imageload"
	"github.com/kluster-project/kluster/internal/status"
	nodeimage "github.com/kluster-project/kluster/node-image"
	"github.com/kluster-project/kluster/provider"
)

// PrepareConformance puts the images of conformance tests, and a registry for those
// that tests pull, into a cluster.
func (m *Manager) PrepareConformance(ctx context.Context, cluster string) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return m.loadConformance(ctx, cluster) })
	g.Go(func() error { return m.ensureRegistry(ctx, cluster) })
	return g.Wait()
}

// heldImage is a container image that a node's runtime holds.
type heldImage struct {
	ID   string   `json:"id"` // the digest of its configuration, "sha256:..."
	Refs []string `json:"repoTags"`
}

// conformance is what a cluster's nodes hold beside what conformance tests want.
type conformance struct {
	nodes  []provider.Node
	facts  facts
	wanted []nodeimage.ConformanceImage
	held   map[string][]heldImage // by the name of each running node
}

func (m *Manager) conformanceOf(ctx context.Context, cluster string) (c conformance, err error) {
	if c.nodes, c.facts, err = m.machinesOf(ctx, cluster); err != nil {
		return c, err
	}
	if c.wanted, err = nodeimage.ConformanceImages(c.facts.Kubernetes); err != nil {
		return c, err
	}
	c.held, err = m.heldImages(ctx, c.nodes)
	return c, err
}

// heldImages lists what the runtime of each running node holds, by the node's name.
func (m *Manager) heldImages(ctx context.Context, nodes []provider.Node) (map[string][]heldImage, error) {
	var mu sync.Mutex
	held := map[string][]heldImage{}
	g, ctx := errgroup.WithContext(ctx)
	for _, n := range nodes {
		if !runsContainers(n) {
			continue
		}
		g.Go(func() error {
			runtime, err := m.runtimeOf(ctx, n)
			if err != nil {
				return err
			}
			var out strings.Builder
			args := append(slices.Clone(runtime.Debug), "images", "--output", "json")
			if err := m.provider.Exec(ctx, n.ID, provider.Command{Args: args, Stdout: &out}); err != nil {
				return fmt.Errorf("listing the images of %s: %w", n.Name, err)
			}
			list, err := parseImages(out.String())
			if err != nil {
				return fmt.Errorf("listing the images of %s: %w", n.Name, err)
			}
			mu.Lock()
			defer mu.Unlock()
			held[n.Name] = list
			return nil
		})
	}
	return held, g.Wait()
}

// parseImages reads what "crictl images" prints.
func parseImages(text string) ([]heldImage, error) {
	var list struct {
		Images []heldImage `json:"images"`
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("reading crictl's list of images: %w", err)
	}
	return list.Images, nil
}

// loadConformance brings the images of Kubernetes' conformance tests into those
// running nodes of a cluster that lack some. Node images that were built with them
// have all.
func (m *Manager) loadConformance(ctx context.Context, cluster string) error {
	c, err := m.conformanceOf(ctx, cluster)
	if err != nil {
		return err
	}
	var refs []string
	for _, img := range c.wanted {
		refs = append(refs, img.Ref)
	}
	lacking := lackingImages(refs, c.held)
	if len(lacking) == 0 {
		return nil
	}
	step := m.reporter.Step("conformance images", 0)
	err = m.bring(ctx, c.nodes, c.facts, lacking, step)
	step.End(err)
	return err
}

// PlacedImage is a conformance image as nodes of a cluster hold it.
type PlacedImage struct {
	Ref string
	ID  string // the digest of its configuration, "sha256:..."
	// StandIn says how it differs from upstream's.
	StandIn string
}

// ConformanceImages lists the conformance images that the running nodes of a cluster
// hold: one that nodes hold with several IDs several times.
func (m *Manager) ConformanceImages(ctx context.Context, cluster string) ([]PlacedImage, error) {
	c, err := m.conformanceOf(ctx, cluster)
	if err != nil {
		return nil, err
	}
	return placedImages(c.wanted, c.held), nil
}

func placedImages(wanted []nodeimage.ConformanceImage, held map[string][]heldImage) []PlacedImage {
	var placed []PlacedImage
	for _, want := range wanted {
		for _, node := range slices.Sorted(maps.Keys(held)) {
			i := slices.IndexFunc(held[node], func(img heldImage) bool { return img.is(want.Ref) })
			if i < 0 {
				continue
			}
			img := PlacedImage{Ref: want.Ref, ID: held[node][i].ID, StandIn: want.StandIn}
			if !slices.Contains(placed, img) {
				placed = append(placed, img)
			}
		}
	}
	return placed
}

// lackingImages are the wanted images that nodes do not hold, by the node's name.
func lackingImages(wanted []string, held map[string][]heldImage) map[string][]string {
	lacking := map[string][]string{}
	for node, images := range held {
		for _, want := range wanted {
			if !slices.ContainsFunc(images, func(img heldImage) bool { return img.is(want) }) {
				lacking[node] = append(lacking[node], want)
			}
		}
	}
	return lacking
}

// is says whether an image has a name. Docker Engine leaves the registry out where it
// is its own.
func (img heldImage) is(name string) bool {
	return slices.ContainsFunc(img.Refs, func(ref string) bool {
		whole, err := imageload.WholeName(ref)
		return ref == name || err == nil && whole == name
	})
}

// bring builds the images that some node lacks, and sends them to every node that
// lacks one.
func (m *Manager) bring(ctx context.Context, nodes []provider.Node, f facts, lacking map[string][]string, step status.Step) error {
	release, err := nodeimage.UseCache(ctx, m.cacheDir)
	if err != nil {
		return err
	}
	defer release()
	images, err := m.buildArchive(ctx, f.Kubernetes, anyLacks(lacking), step)
	if err != nil {
		return err
	}
	src, err := images.Source()
	if err != nil {
		return err
	}
	return m.load(ctx, lackingNodes(nodes, lacking), src, false, step)
}

// anyLacks are the images that some node lacks, each once.
func anyLacks(lacking map[string][]string) []string {
	var refs []string
	for _, names := range lacking {
		refs = append(refs, names...)
	}
	slices.Sort(refs)
	return slices.Compact(refs)
}

func lackingNodes(nodes []provider.Node, lacking map[string][]string) []provider.Node {
	return slices.DeleteFunc(slices.Clone(nodes), func(n provider.Node) bool { return len(lacking[n.Name]) == 0 })
}

// archive is a nodeimage.Archive.
type archive interface {
	io.WriterTo
	Digest() string
}

func (m *Manager) buildArchive(ctx context.Context, kubernetes string, refs []string, step status.Step) (*nodeimage.Archive, error) {
	return nodeimage.BuildArchive(ctx, nodeimage.Spec{Kubernetes: kubernetes}, refs, nodeimage.Options{
		CacheDir: m.cacheDir, Sandbox: sandbox{m.provider}, Progress: step,
	})
}

// streamOf gives what an archive writes. It must be closed.
func streamOf(a archive) io.ReadCloser {
	r, w := io.Pipe()
	go func() {
		_, err := a.WriteTo(w)
		w.CloseWithError(err)
	}()
	return r
}
