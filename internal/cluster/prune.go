package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/registries"
	nodeimage "github.com/kluster-project/kluster/node-image"
	"github.com/kluster-project/kluster/provider"
)

// PruneOptions say what goes.
type PruneOptions struct {
	// Unused is how long the cache keeps what nothing uses; 0 for all that no cluster
	// uses, node images of this kluster and what bundles brought too.
	Unused time.Duration
	DryRun bool // tells what would go
}

// Kinds of what is pruned.
const (
	PrunedImage   = "node image"
	PrunedBuild   = "left of a build"
	PrunedCache   = "cache"
	PrunedLeft    = "temporary"
	PrunedFailure = "logs of a failed create"
)

// PrunedItem is something that went, or would.
type PrunedItem struct {
	Kind  string `json:"kind"`
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"` // what it holds, also what others share with it
}

// Pruned is all that went, or would.
type Pruned struct {
	Items  []PrunedItem `json:"items"`
	DryRun bool         `json:"dryRun"`
	// CacheBytes are those that the cache frees. What an engine frees it does not say
	// before, since images share layers.
	CacheBytes int64 `json:"cacheBytes"`
}

// Prune removes what no cluster uses from the engine and the cache: node images that
// this kluster would not use again and no bundle has brought, what builds that were
// killed have left, outputs of builds, and logs of failed creates. What was removed before an error is in the result.
func (m *Manager) Prune(ctx context.Context, opt PruneOptions) (*Pruned, error) {
	p := &pruning{m: m, opt: opt, result: &Pruned{Items: []PrunedItem{}, DryRun: opt.DryRun}}
	release, err := nodeimage.Alone(m.cacheDir) // creates use it too
	if err != nil {
		return p.result, err
	}
	defer release()
	for _, part := range []func(context.Context) error{p.cache, p.failures, p.images, p.builds} {
		if ctx.Err() != nil {
			return p.result, context.Cause(ctx)
		}
		if err := part(ctx); err != nil {
			return p.result, err
		}
	}
	return p.result, nil
}

// pruning is a Prune under way.
type pruning struct {
	m      *Manager
	opt    PruneOptions
	result *Pruned
}

// take removes an item, unless nothing is to be removed.
func (p *pruning) take(item PrunedItem, remove func() error) error {
	if !p.opt.DryRun {
		if err := remove(); err != nil {
			return fmt.Errorf("removing %s %s: %w", item.Kind, item.Name, err)
		}
	}
	p.result.Items = append(p.result.Items, item)
	return nil
}

func (p *pruning) cache(ctx context.Context) error {
	pruned, err := nodeimage.Prune(ctx, p.m.cacheDir, nodeimage.PruneOptions{Unused: p.opt.Unused, DryRun: p.opt.DryRun})
	for _, out := range pruned.Outputs {
		kind := PrunedCache
		if out.Left {
			kind = PrunedLeft
		}
		p.result.Items = append(p.result.Items, PrunedItem{kind, out.Name, out.Bytes})
	}
	p.result.CacheBytes = pruned.Bytes
	return err
}

func (p *pruning) failures(context.Context) error {
	folders, err := failuresIn(filepath.Join(p.m.cacheDir, "logs"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, f := range folders {
		if time.Since(f.began) < p.opt.Unused {
			continue
		}
		size, err := nodeimage.SizeOf(f.path)
		if err != nil {
			return fmt.Errorf("measuring old logs: %w", err)
		}
		if err := p.take(PrunedItem{PrunedFailure, filepath.Base(f.path), size}, func() error { return os.RemoveAll(f.path) }); err != nil {
			return err
		}
		p.result.CacheBytes += size
	}
	return nil
}

// images removes node images that no node is made of: with Unused only those that
// this kluster would not use again.
func (p *pruning) images(ctx context.Context) error {
	held, err := p.m.provider.Images(ctx, provider.Selector{nodespec.LabelManifest: ""})
	if err != nil {
		return err
	}
	keep, err := p.usedImages(ctx)
	if err != nil {
		return err
	}
	for _, img := range held {
		if keep[img.ID] || slices.ContainsFunc(img.Refs, func(ref string) bool { return keep[ref] }) {
			continue
		}
		brought, err := p.brought(img)
		if err != nil {
			return err
		}
		if p.opt.Unused > 0 && (brought || p.current(ctx, img)) {
			continue
		}
		for i, ref := range img.Refs {
			if !strings.HasPrefix(ref, nodespec.ImageRepository+":") {
				continue // a name that somebody gave it
			}
			item := PrunedItem{Kind: PrunedImage, Name: ref}
			if i == 0 {
				item.Bytes = img.Size
			}
			err := p.take(item, func() error {
				return errors.Join(p.m.provider.RemoveImage(ctx, ref), nodeimage.ForgetImage(p.m.cacheDir, ref))
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// brought says whether a bundle brought an image, for whichever kluster.
func (p *pruning) brought(img provider.Image) (bool, error) {
	for _, ref := range img.Refs {
		if yes, err := nodeimage.Brought(p.m.cacheDir, ref); yes || err != nil {
			return yes, err
		}
	}
	return false, nil
}

// usedImages are the names and IDs of images that nodes are made of, of whatever
// cluster or build, and registries.
func (p *pruning) usedImages(ctx context.Context) (map[string]bool, error) {
	used := map[string]bool{}
	for _, label := range []string{nodespec.LabelCluster, registries.Label, buildLabel} {
		nodes, err := p.m.provider.Nodes(ctx, provider.Selector{label: ""})
		if err != nil {
			return nil, err
		}
		for _, n := range nodes {
			used[n.Image] = true
		}
	}
	return used, nil
}

// current says whether an image is, or may be, one that this kluster would make for the
// same versions and container runtimes.
func (p *pruning) current(ctx context.Context, img provider.Image) bool {
	manifest, err := manifestOf(img)
	if err != nil {
		return false
	}
	for _, conformance := range []bool{false, true} {
		spec := ImageOptions{Kubernetes: manifest.Kubernetes, Runtimes: manifest.Runtimes, Conformance: conformance, NodeBinary: p.m.nodeBin}
		_, found, err := nodeimage.Find(ctx, spec, p.m.cacheDir, func(ref string) (bool, error) { return slices.Contains(img.Refs, ref), nil })
		// What cannot be told is kept: the image may be a machine's only one.
		if err != nil || found {
			return true
		}
	}
	return false
}

// builds removes the throw-away machines of builds that were killed, and images that
// were theirs.
func (p *pruning) builds(ctx context.Context) error {
	dead, err := p.m.deadBuilds(ctx)
	if err != nil {
		return err
	}
	for _, n := range dead {
		if err := p.take(PrunedItem{Kind: PrunedBuild, Name: n.Name}, func() error { return p.m.removeBuild(ctx, n) }); err != nil {
			return err
		}
	}
	return nil
}
