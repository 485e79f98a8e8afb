package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/shell"
	nodeimage "github.com/kluster-project/kluster/node-image"
	"github.com/kluster-project/kluster/provider"
)

const (
	// criRegistry is the unit that serves the images of cri-tools' specs in a node,
	// and criRegistryURL where.
	criRegistry    = "kluster-registry.service"
	criRegistryURL = "http://127.0.0.1:80"
)

// PrepareCRI gives every node of a cluster a registry of its own with the container
// images that cri-tools' specs pull, under the names that these have for them, and
// lists the images. The node takes itself for the registries that are in the names,
// so that the same is pulled whether it reaches them or not: it is of no other use
// any more.
func (m *Manager) PrepareCRI(ctx context.Context, cluster string) (placed []PlacedImage, err error) {
	step := m.reporter.Step("container images of cri-tools", 0)
	defer func() { step.End(err) }()
	nodes, _, err := m.machinesOf(ctx, cluster)
	if err != nil {
		return nil, err
	}
	release, err := nodeimage.UseCache(ctx, m.cacheDir)
	if err != nil {
		return nil, err
	}
	defer release()
	images, err := nodeimage.BuildCRIImages(ctx, nodeimage.Options{CacheDir: m.cacheDir, Sandbox: sandbox{m.provider}, Progress: step})
	if err != nil {
		return nil, err
	}
	for _, n := range slices.DeleteFunc(slices.Clone(nodes), func(n provider.Node) bool { return !runsContainers(n) }) {
		if err := m.serveInNode(ctx, n, images, images.Registries); err != nil {
			return nil, fmt.Errorf("registry in node %s: %w", n.Name, err)
		}
	}
	for _, img := range images.Placed {
		placed = append(placed, PlacedImage{Ref: img.Ref, ID: img.Digest, StandIn: img.StandIn})
	}
	return placed, nil
}

// serveInNode starts a registry in a node in the place of others.
func (m *Manager) serveInNode(ctx context.Context, n provider.Node, images archive, registries []string) error {
	stream := streamOf(images)
	defer stream.Close()
	if err := m.provider.CopyTo(ctx, n.ID, registryFolder, stream); err != nil {
		return fmt.Errorf("copying the images: %w", err)
	}
	if err := m.pointAtItself(ctx, n, registries); err != nil {
		return err
	}
	serve := []string{nodespec.NodeBinary, "registry", registryFolder, strings.TrimPrefix(criRegistryURL, "http://")}
	start := append([]string{"systemd-run", "--quiet", "--unit", criRegistry}, serve...)
	if err := m.provider.Exec(ctx, n.ID, provider.Command{Args: start}); err != nil {
		return fmt.Errorf("starting it: %w", err)
	}
	return m.waitForRegistry(ctx, n, criRegistryURL, func(ctx context.Context) error {
		ask := provider.Command{Args: []string{"systemctl", "is-active", "--quiet", criRegistry}}
		if m.provider.Exec(ctx, n.ID, ask) == nil {
			return nil
		}
		return fmt.Errorf("its program ended; see: kluster exec %s -- journalctl --unit %s", n.Name, criRegistry)
	})
}

// pointAtItself makes a node ask itself for images of registries, and nobody else: the
// registries' names lead to it too.
func (m *Manager) pointAtItself(ctx context.Context, n provider.Node, registries []string) error {
	line := "127.0.0.1 " + strings.Join(registries, " ")
	name := provider.Command{Args: []string{"sh", "-c", "echo " + shell.Quote(line) + " >> /etc/hosts"}}
	if err := m.provider.Exec(ctx, n.ID, name); err != nil {
		return fmt.Errorf("naming the node as the registries: %w", err)
	}
	var list []nodespec.Mirror
	for _, host := range registries {
		list = append(list, nodespec.Mirror{Of: host, Endpoints: []string{criRegistryURL}})
	}
	return m.setMirrors(ctx, []provider.Node{n}, nodespec.MirrorsOfCluster, list)
}
