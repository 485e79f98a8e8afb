package docker

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"

	"github.com/kluster-project/kluster/provider"
)

// Images implements provider.Provider.
func (p *Provider) Images(ctx context.Context, sel provider.Selector) ([]provider.Image, error) {
	list, err := p.api.ImageList(ctx, image.ListOptions{Filters: labelFilter(sel)})
	if err != nil {
		return nil, fmt.Errorf("listing images: %w", explain(err))
	}
	images := make([]provider.Image, 0, len(list))
	for _, held := range list {
		images = append(images, provider.Image{
			ID:      held.ID,
			Refs:    realTags(held.RepoTags),
			Labels:  held.Labels,
			Size:    held.Size,
			Created: time.Unix(held.Created, 0),
		})
	}
	return images, nil
}

// Image implements provider.Provider.
func (p *Provider) Image(ctx context.Context, ref string) (provider.Image, error) {
	held, err := p.api.ImageInspect(ctx, ref)
	if err != nil {
		return provider.Image{}, fmt.Errorf("looking up image %q: %w", ref, explain(err))
	}
	img := provider.Image{
		ID: held.ID, Refs: realTags(held.RepoTags), Size: held.Size,
		DiffIDs: held.RootFS.Layers, OS: held.Os, Arch: held.Architecture,
	}
	if held.Config != nil {
		img.Labels = held.Config.Labels
	}
	// An image without a date has the zero time.
	img.Created, _ = time.Parse(time.RFC3339Nano, held.Created)
	return img, nil
}

// RemoveImage implements provider.Provider.
func (p *Provider) RemoveImage(ctx context.Context, ref string) error {
	_, err := p.api.ImageRemove(ctx, ref, image.RemoveOptions{PruneChildren: true})
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("removing image %q: %w", ref, explain(err))
	}
	return nil
}

// realTags drops the engine's stand-in for "no tag".
func realTags(tags []string) []string {
	return slices.DeleteFunc(slices.Clone(tags), func(t string) bool { return t == "<none>:<none>" })
}
