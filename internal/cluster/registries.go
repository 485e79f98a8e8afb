package cluster

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/registries"
	"github.com/kluster-project/kluster/internal/status"
	"github.com/kluster-project/kluster/provider"
)

// RegistryOptions say which registries to make; they are for all clusters.
type RegistryOptions struct {
	// Local is the local registry's port on the host (0: its default); nil for none.
	Local *int
	// Caches are those to make.
	Caches []config.Cache
}

// CreateRegistries makes registries that run, where they do not yet, and describes
// them.
func (m *Manager) CreateRegistries(ctx context.Context, opt RegistryOptions) ([]registries.Info, error) {
	wanted := config.Registries{Caches: opt.Caches}
	if opt.Local != nil {
		wanted.Local = &config.LocalRegistry{HostPort: *opt.Local}
	}
	specs := registrySpecs(wanted)
	group, groupCtx := errgroup.WithContext(ctx)
	for _, s := range specs {
		group.Go(func() error {
			step := m.reporter.Step(s.Name(), 0)
			err := m.registries().Ensure(groupCtx, s, m.registryImage("", step))
			step.End(err)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	all, err := m.Registries(ctx)
	return slices.DeleteFunc(all, func(i registries.Info) bool { return !slices.Contains(specs, i.Spec) }), err
}

// Registries describes every registry that clusters share.
func (m *Manager) Registries(ctx context.Context) ([]registries.Info, error) {
	return m.registries().List(ctx)
}

// DeleteRegistries removes registries; see registries.Manager.Delete.
func (m *Manager) DeleteRegistries(ctx context.Context, names []string, force bool) ([]string, error) {
	return m.registries().Delete(ctx, names, force)
}

// ConnectRegistries gives a cluster that there is the registries of these names, or all
// when there are none, and names them. Pulls that begin afterwards use them.
func (m *Manager) ConnectRegistries(ctx context.Context, cluster string, names []string) ([]string, error) {
	nodes, err := m.existing(ctx, cluster)
	if err != nil {
		return nil, err
	}
	infos, err := m.registries().Choose(ctx, names)
	if err != nil {
		return nil, err
	}
	if len(infos) == 0 {
		return nil, failure.With(errors.New("there is no registry"), failure.Hint("make one with: kluster registry create"), failure.Exit(failure.CodeUsage))
	}
	var done []string
	for _, i := range infos {
		step := m.reporter.Step(i.Name, 0)
		err := m.connectRegistry(ctx, cluster, i.Spec, nodes)
		step.End(err)
		if err != nil {
			return done, fmt.Errorf("connecting %s to cluster %q: %w", i.Name, cluster, err)
		}
		done = append(done, i.Name)
	}
	return done, m.tellCaches(ctx, cluster, nodes)
}

// connectRegistry gives a cluster one registry, but its nodes do not know yet what a
// cache is for.
func (m *Manager) connectRegistry(ctx context.Context, cluster string, s registries.Spec, nodes []provider.Node) error {
	if err := m.registries().Ensure(ctx, s, m.registryImage("", nil)); err != nil {
		return err
	}
	if err := m.registries().Connect(ctx, s, cluster); err != nil || s.IsCache() {
		return err
	}
	if err := m.openRegistrySockets(ctx, s, nodes); err != nil {
		return err
	}
	conf, err := m.Kubeconfig(ctx, cluster, false)
	if err != nil {
		return err
	}
	_, client, err := m.clients(conf)
	if err != nil {
		return err
	}
	hosting, err := registryHosting(s)
	if err != nil {
		return err
	}
	return applyObject(ctx, client, hosting)
}

// DisconnectRegistries takes the registries of these names from a cluster, or all that it
// uses when there are none, and names them. They stay for others.
func (m *Manager) DisconnectRegistries(ctx context.Context, cluster string, names []string) ([]string, error) {
	nodes, err := m.existing(ctx, cluster)
	if err != nil {
		return nil, err
	}
	infos, err := m.registries().Choose(ctx, names)
	if err != nil {
		return nil, err
	}
	var done []string
	for _, i := range infos {
		if !slices.Contains(i.Clusters, cluster) {
			continue
		}
		step := m.reporter.Step(i.Name, 0)
		err := m.disconnectRegistry(ctx, cluster, i.Spec, nodes)
		step.End(err)
		if err != nil {
			return done, fmt.Errorf("disconnecting %s from cluster %q: %w", i.Name, cluster, err)
		}
		done = append(done, i.Name)
	}
	if len(done) == 0 {
		return nil, failure.With(fmt.Errorf("cluster %q uses none of these registries", cluster), failure.Hint("see: kluster registry list"), failure.Exit(failure.CodeUsage))
	}
	return done, m.tellCaches(ctx, cluster, nodes)
}

// disconnectRegistry takes back what connectRegistry has done, the network last: what
// failed before can be done again.
func (m *Manager) disconnectRegistry(ctx context.Context, cluster string, s registries.Spec, nodes []provider.Node) error {
	if !s.IsCache() {
		if err := m.unannounceRegistry(ctx, cluster); err != nil {
			return err
		}
		if err := m.closeRegistrySockets(ctx, s, nodes); err != nil {
			return err
		}
	}
	return m.registries().Disconnect(ctx, s, cluster)
}

func (m *Manager) unannounceRegistry(ctx context.Context, cluster string) error {
	conf, err := m.Kubeconfig(ctx, cluster, false)
	if err != nil {
		return err
	}
	_, client, err := m.clients(conf)
	if err != nil {
		return err
	}
	err = client.Resource(resourceOf(corev1.SchemeGroupVersion.WithKind("ConfigMap"))).Namespace(hostingNamespace).Delete(ctx, hostingName, metav1.DeleteOptions{})
	return unless(err, apierrors.IsNotFound)
}

// closeRegistrySockets ends what openRegistrySockets has begun. All nodes must run for
// that: else one would listen again when it boots.
func (m *Manager) closeRegistrySockets(ctx context.Context, s registries.Spec, nodes []provider.Node) error {
	nodes = slices.DeleteFunc(slices.Clone(nodes), isLoadBalancer)
	for _, n := range nodes {
		if n.State != provider.StateRunning {
			return failure.With(fmt.Errorf("node %s does not run", n.Name), failure.Hint("start it first: kluster node start %s", n.Name), failure.Exit(failure.CodeHost))
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, n := range nodes {
		group.Go(func() error {
			for _, args := range [][]string{
				{"systemctl", "stop", registrySocket(s), strings.TrimSuffix(registrySocket(s), ".socket") + ".service"},
				{"rm", "-f", registryLink(s)},
				{"systemctl", "daemon-reload"},
			} {
				if err := m.provider.Exec(ctx, n.ID, provider.Command{Args: args}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// openRegistrySockets makes nodes that there are listen for pulls from the local
// registry; those that do not run do so when they boot.
func (m *Manager) openRegistrySockets(ctx context.Context, s registries.Spec, nodes []provider.Node) error {
	files := registryFiles(&config.LocalRegistry{HostPort: s.HostPort})
	group, ctx := errgroup.WithContext(ctx)
	for _, n := range nodes {
		if isLoadBalancer(n) {
			continue
		}
		group.Go(func() error {
			archive, err := tarOf(files, time.Now())
			if err != nil {
				return fmt.Errorf("packing the files of %s: %w", n.Name, err)
			}
			if err := m.provider.CopyTo(ctx, n.ID, "/", archive); err != nil || n.State != provider.StateRunning {
				return err
			}
			for _, command := range [][]string{{"daemon-reload"}, {"start", registrySocket(s)}} {
				args := append([]string{"systemctl"}, command...)
				if err := m.provider.Exec(ctx, n.ID, provider.Command{Args: args}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// tellCaches tells nodes of every cache that their cluster is connected to.
func (m *Manager) tellCaches(ctx context.Context, cluster string, nodes []provider.Node) error {
	infos, err := m.Registries(ctx)
	if err != nil {
		return err
	}
	var specs []registries.Spec
	for _, i := range infos {
		if slices.Contains(i.Clusters, cluster) {
			specs = append(specs, i.Spec)
		}
	}
	return m.setMirrors(ctx, nodes, nodespec.MirrorsOfCaches, mirrorsOf(specs))
}

func (m *Manager) registries() *registries.Manager { return registries.New(m.provider, m.reporter) }

// registryImage gives a node image that a registry can be made of: prefer, if that
// holds the program, else any, and one is built where there is none.
func (m *Manager) registryImage(prefer string, step status.Step) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		images, err := m.Images(ctx)
		if err != nil {
			return "", err
		}
		images = slices.DeleteFunc(images, func(i ImageInfo) bool {
			return !slices.ContainsFunc(i.Manifest.Components, func(c nodespec.ComponentRecord) bool { return c.Name == registries.Component })
		})
		for _, i := range images {
			if i.Ref == prefer {
				return prefer, nil
			}
		}
		if len(images) > 0 {
			return images[0].Ref, nil
		}
		return m.EnsureImage(ctx, ImageOptions{}, step)
	}
}

// shareRegistries sees that the registries of a new cluster are there, and puts them on
// its network. They stay when the create fails: others may use them by then.
func (c *creation) shareRegistries(ctx context.Context, step status.Step) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, s := range registrySpecs(c.cfg.Registries) {
		group.Go(func() error {
			err := c.m.registries().Ensure(ctx, s, c.m.registryImage(c.image[c.cfg.Nodes[0].Name], step))
			if err != nil {
				return err
			}
			return c.m.registries().Connect(ctx, s, c.cfg.Name)
		})
	}
	return group.Wait()
}

// announceRegistry tells users of the cluster of the local registry, if it has one.
func (c *creation) announceRegistry(ctx context.Context) error {
	local := c.cfg.Registries.Local
	if local == nil {
		return nil
	}
	hosting, err := registryHosting(registries.Local(local.HostPort))
	if err != nil {
		return err
	}
	return c.apply(ctx, hosting)
}

// registrySpecs are the registries that a configuration asks for.
func registrySpecs(r config.Registries) []registries.Spec {
	var specs []registries.Spec
	if r.Local != nil {
		specs = append(specs, registries.Local(r.Local.HostPort))
	}
	for _, c := range r.Caches {
		specs = append(specs, registries.Cache(c.Registry, c.URL))
	}
	return specs
}

// mirrorsOf are the caches among registries, as nodes are told of them.
func mirrorsOf(specs []registries.Spec) []nodespec.Mirror {
	var list []nodespec.Mirror
	for _, s := range specs {
		if s.IsCache() {
			list = append(list, nodespec.Mirror{Of: s.Upstream, Endpoints: []string{s.Endpoint()}})
		}
	}
	return list
}

// registrySocket is the unit that makes the local registry answer on a node's loopback
// address, under the host's name for it.
func registrySocket(s registries.Spec) string {
	return "kluster-registry@" + strconv.Itoa(s.HostPort) + ".socket"
}

// registryFiles are what a node needs for the local registry, nil for none.
func registryFiles(local *config.LocalRegistry) []nodespec.File {
	if local == nil {
		return nil
	}
	return []nodespec.File{{
		Path: registryLink(registries.Local(local.HostPort)),
		Link: "/usr/lib/systemd/system/kluster-registry@.socket",
	}}
}

// registryLink is what has a node listen when it boots.
func registryLink(s registries.Spec) string {
	return path.Join("/etc/systemd/system/sockets.target.wants", registrySocket(s))
}

// hostingName and hostingNamespace are of what registryHosting gives.
const (
	hostingName      = "local-registry-hosting"
	hostingNamespace = metav1.NamespacePublic
)

// registryHosting is the ConfigMap by which tools that push images find the registry
// of a cluster (KEP-1755, "Communicating a local registry").
func registryHosting(s registries.Spec) (*unstructured.Unstructured, error) {
	text, err := yaml.Marshal(map[string]string{
		"host": s.Address(), "hostFromContainerRuntime": s.Address(), "hostFromClusterNetwork": s.HostPortInCluster(),
		"help": "kluster registry --help",
	})
	if err != nil {
		return nil, fmt.Errorf("encoding where the registry is: %w", err)
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"name": hostingName, "namespace": hostingNamespace},
		"data":     map[string]any{"localRegistryHosting.v1": string(text)},
	}}, nil
}
