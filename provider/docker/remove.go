package docker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"golang.org/x/sync/errgroup"

	"github.com/kluster-project/kluster/internal/wait"
	"github.com/kluster-project/kluster/provider"
)

// removeTries bounds how often Remove goes over what is left. An engine may be
// removing an object already, or be slow to let go of its file system.
const removeTries = 8

var errEmptySelector = errors.New("refusing an empty selector: it would match everything on the engine")

// object is something of the engine that can be removed.
type object struct {
	kind, name string
	remove     func(ctx context.Context) error
}

func (o object) String() string { return o.kind + " " + o.name }

// Remove implements provider.Provider.
func (p *Provider) Remove(ctx context.Context, sel provider.Selector) error {
	if len(sel) == 0 {
		return fmt.Errorf("removing nodes: %w", errEmptySelector)
	}
	var err error
	for try := range removeTries {
		var removed int
		if removed, err = p.removeOnce(ctx, sel); err == nil && removed == 0 {
			return nil
		}
		// After the first success look again at once: mostly all has gone.
		if err == nil && try == 0 {
			continue
		}
		if !wait.For(ctx, min(50*time.Millisecond<<try, time.Second)) {
			return errors.Join(ctx.Err(), err)
		}
	}
	if err == nil {
		err = errors.New("objects are made as fast as they are removed")
	}
	return fmt.Errorf("giving up after %d tries: %w", removeTries, err)
}

// removeOnce removes all that is there, kind after kind, for networks and
// volumes are in use until their nodes have gone.
func (p *Provider) removeOnce(ctx context.Context, sel provider.Selector) (removed int, err error) {
	for _, list := range p.kinds() {
		objects, err := list(ctx, sel)
		if err != nil {
			return removed, err
		}
		removed += len(objects)
		if err := removeAll(ctx, objects); err != nil {
			return removed, err
		}
	}
	return removed, nil
}

// removeAll removes objects of one kind at the same time and gives every error.
func removeAll(ctx context.Context, objects []object) error {
	errs := make([]error, len(objects))
	var group errgroup.Group
	group.SetLimit(parallel)
	for i, o := range objects {
		group.Go(func() error {
			if err := o.remove(ctx); err != nil && !errdefs.IsNotFound(err) {
				errs[i] = fmt.Errorf("removing %s: %w", o, explain(err))
			}
			return nil
		})
	}
	_ = group.Wait()
	return errors.Join(errs...)
}

// Leftovers implements provider.Provider.
func (p *Provider) Leftovers(ctx context.Context, sel provider.Selector) ([]string, error) {
	if len(sel) == 0 {
		return nil, fmt.Errorf("looking for leftovers: %w", errEmptySelector)
	}
	var names []string
	for _, list := range p.kinds() {
		objects, err := list(ctx, sel)
		if err != nil {
			return nil, err
		}
		for _, o := range objects {
			names = append(names, o.String())
		}
	}
	return names, nil
}

type lister func(ctx context.Context, sel provider.Selector) ([]object, error)

// kinds lists the kinds of objects in the order of their removal.
func (p *Provider) kinds() []lister {
	return []lister{p.nodeObjects, p.volumeObjects, p.networkObjects}
}

func (p *Provider) nodeObjects(ctx context.Context, sel provider.Selector) ([]object, error) {
	list, err := p.api.ContainerList(ctx, container.ListOptions{All: true, Filters: labelFilter(sel)})
	if err != nil {
		return nil, fmt.Errorf("listing nodes: %w", explain(err))
	}
	var objects []object
	for _, c := range list {
		objects = append(objects, object{"node", containerName(c), func(ctx context.Context) error {
			return p.api.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
		}})
	}
	return objects, nil
}

// containerName is the name of a container; one that is going has none.
func containerName(c container.Summary) string {
	if len(c.Names) == 0 {
		return c.ID
	}
	return c.Names[0][1:]
}

func (p *Provider) volumeObjects(ctx context.Context, sel provider.Selector) ([]object, error) {
	list, err := p.api.VolumeList(ctx, volume.ListOptions{Filters: labelFilter(sel)})
	if err != nil {
		return nil, fmt.Errorf("listing volumes: %w", explain(err))
	}
	var objects []object
	for _, v := range list.Volumes {
		objects = append(objects, object{"volume", v.Name, func(ctx context.Context) error {
			return p.api.VolumeRemove(ctx, v.Name, true)
		}})
	}
	return objects, nil
}

func (p *Provider) networkObjects(ctx context.Context, sel provider.Selector) ([]object, error) {
	list, err := p.api.NetworkList(ctx, network.ListOptions{Filters: labelFilter(sel)})
	if err != nil {
		return nil, fmt.Errorf("listing networks: %w", explain(err))
	}
	var objects []object
	for _, n := range list {
		objects = append(objects, object{"network", n.Name, func(ctx context.Context) error {
			return p.removeNetwork(ctx, n.ID)
		}})
	}
	return objects, nil
}

// removeNetwork first takes off containers that others put on the network:
// the engine does not remove one that is in use.
func (p *Provider) removeNetwork(ctx context.Context, id string) error {
	err := p.api.NetworkRemove(ctx, id)
	if err == nil || errdefs.IsNotFound(err) {
		return err
	}
	n, inspectErr := p.api.NetworkInspect(ctx, id, network.InspectOptions{})
	if inspectErr != nil || len(n.Containers) == 0 {
		return err
	}
	for containerID := range n.Containers {
		// What cannot be taken off shows in the removal below.
		_ = p.api.NetworkDisconnect(ctx, id, containerID, true)
	}
	return p.api.NetworkRemove(ctx, id)
}
