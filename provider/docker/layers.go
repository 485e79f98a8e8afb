package docker

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/image"

	"github.com/kluster-project/kluster/provider"
)

// userSpaceDrivers are the storage drivers that serve a container's files from
// a process in user space.
//
// A node that stacks overlayfs on such files can stop the whole machine: the
// kernel holds the rename lock of the disk while it copies a folder up, and for
// that opens it below, which asks the process; the process may itself be
// renaming on the same disk, and waits for that lock. Seen with Engine 20.10
// and fuse-overlayfs within a few creates, as runc in ovl_copy_up_one behind
// fuse_dir_open and fuse-overlayfs in renameat2.
//
// It is also slow, and each container's files are its own to the kernel: what
// many nodes run is in memory once per node.
var userSpaceDrivers = []string{"fuse-overlayfs"}

// layerBinds mounts the spec's LayerMounts past such a driver.
func (p *Provider) layerBinds(ctx context.Context, spec provider.NodeSpec) ([]string, error) {
	if len(spec.LayerMounts) == 0 {
		return nil, nil
	}
	held, err := p.api.ImageInspect(ctx, spec.Image)
	if err != nil {
		return nil, fmt.Errorf("looking up the layers of image %q: %w", spec.Image, explain(err))
	}
	if !slices.Contains(userSpaceDrivers, held.GraphDriver.Name) {
		return nil, nil
	}
	var binds []string
	for _, at := range slices.Sorted(maps.Keys(spec.LayerMounts)) {
		dir, err := layerDir(held, spec.LayerMounts[at])
		if err != nil {
			return nil, fmt.Errorf("image %q: %w", spec.Image, err)
		}
		binds = append(binds, path.Join(dir, at)+":"+at+":ro")
	}
	return binds, nil
}

// layerDir is where the engine keeps a layer. It lists layers from the lowest
// up, and their folders from the highest down.
func layerDir(held image.InspectResponse, diffID string) (string, error) {
	dirs := []string{held.GraphDriver.Data["UpperDir"]}
	if lower := held.GraphDriver.Data["LowerDir"]; lower != "" {
		dirs = append(dirs, strings.Split(lower, ":")...)
	}
	i := slices.Index(held.RootFS.Layers, diffID)
	if i < 0 {
		return "", fmt.Errorf("it has no layer %s", diffID)
	}
	if len(dirs) != len(held.RootFS.Layers) {
		return "", fmt.Errorf("the engine keeps %d layers of it in %d folders", len(held.RootFS.Layers), len(dirs))
	}
	return dirs[len(dirs)-1-i], nil
}
