package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

// setMirrors tells nodes that there are, running or not, what mirrors of registries a
// source knows of now; none for an empty list. Pulls that begin afterwards ask them.
// Machines that run no containers are left out.
func (m *Manager) setMirrors(ctx context.Context, nodes []provider.Node, source string, list []nodespec.Mirror) error {
	file, err := nodespec.MirrorsFile(source, list)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, n := range nodes {
		if isLoadBalancer(n) || isRegistry(n) {
			continue
		}
		group.Go(func() error {
			archive, err := tarOf([]nodespec.File{file}, time.Now())
			if err != nil {
				return fmt.Errorf("packing the mirrors of %s: %w", n.Name, err)
			}
			if err := m.provider.CopyTo(ctx, n.ID, "/", archive); err != nil {
				return err
			}
			if n.State != provider.StateRunning {
				return nil // it will tell its runtime when it boots
			}
			err = m.provider.Exec(ctx, n.ID, provider.Command{Args: []string{nodespec.NodeBinary, "mirrors"}})
			if err != nil {
				return fmt.Errorf("telling %s of mirrors: %w", n.Name, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// mirrorFiles are the mirrors that nodes to be made are told of.
func (c *creation) mirrorFiles() ([]nodespec.File, error) {
	var files []nodespec.File
	for _, source := range slices.Sorted(maps.Keys(c.mirrors)) {
		file, err := nodespec.MirrorsFile(source, c.mirrors[source])
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}
