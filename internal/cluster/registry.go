package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/kluster-project/kluster/internal/nodespec"
	nodeimage "github.com/kluster-project/kluster/node-image"
	"github.com/kluster-project/kluster/provider"
)

// RegistryName is the name of a cluster's registry, which not every cluster has.
func RegistryName(cluster string) string { return cluster + "-registry" }

const (
	// registryOf is the registry whose images a cluster's own one has.
	registryOf   = "registry.k8s.io"
	registryPort = 5000
	// registryFolder holds the images, and is in every node image.
	registryFolder = "/srv"
	// registryTime bounds the registry's start, and registryPoll is how often it is
	// asked whether it answers.
	registryTime = 20 * time.Second
	registryPoll = 100 * time.Millisecond
	// registryLabel holds the digest of the images that a registry serves.
	registryLabel = "io.kluster.registry"
)

// ensureRegistry gives a cluster a registry with the conformance images that tests
// pull although the nodes have them, and makes the nodes ask it first. What is there
// already stays; a version whose tests pull nothing needs none.
func (m *Manager) ensureRegistry(ctx context.Context, cluster string) (err error) {
	step := m.reporter.Step("registry", 0)
	defer func() { step.End(err) }()
	nodes, f, err := m.machinesOf(ctx, cluster)
	if err != nil {
		return err
	}
	refs, err := pulledImages(f.Kubernetes)
	if err != nil || len(refs) == 0 {
		return err
	}
	release, err := nodeimage.UseCache(ctx, m.cacheDir)
	if err != nil {
		return err
	}
	defer release()
	images, err := m.buildArchive(ctx, f.Kubernetes, refs, step)
	if err != nil {
		return err
	}
	r := registry{m: m, cluster: cluster, nodes: nodes, facts: f, images: images}
	if err := r.ensure(ctx); err != nil {
		return fmt.Errorf("registry of cluster %q: %w", cluster, err)
	}
	return r.mirror(ctx)
}

// pulledImages are the conformance images that a test always pulls.
func pulledImages(kubernetes string) ([]string, error) {
	all, err := nodeimage.ConformanceImages(kubernetes)
	if err != nil {
		return nil, err
	}
	var refs []string
	for _, img := range all {
		if img.Pulled {
			refs = append(refs, img.Ref)
		}
	}
	return refs, nil
}

// registry is the registry of a cluster, made or to be made.
type registry struct {
	m       *Manager
	cluster string
	nodes   []provider.Node // of the cluster, without it
	facts   facts
	images  archive
}

// ensure makes the registry, unless there is one that serves the same images.
func (r *registry) ensure(ctx context.Context) error {
	had, err := r.m.provider.Nodes(ctx, r.selector())
	if err != nil {
		return err
	}
	same := func(n provider.Node) bool { return n.Labels[registryLabel] == r.images.Digest() }
	if i := slices.IndexFunc(had, same); i >= 0 {
		if err := r.m.provider.StartNode(ctx, had[i].ID); err != nil {
			return err
		}
		return r.answers(ctx, had[i])
	}
	if len(had) > 0 {
		if err := r.m.provider.Remove(ctx, r.selector()); err != nil {
			return err
		}
	}
	return r.create(ctx)
}

func (r *registry) selector() provider.Selector {
	return provider.Selector{nodespec.LabelCluster: r.cluster, nodespec.LabelRole: string(nodespec.RoleRegistry)}
}

// create makes the registry, or leaves nothing of it.
func (r *registry) create(ctx context.Context) (err error) {
	// The labels of the create that made the cluster: what removes one removes all.
	labels := map[string]string{registryLabel: r.images.Digest()}
	for _, name := range []string{nodespec.LabelCluster, nodespec.LabelCreation, nodespec.LabelCreator} {
		labels[name] = r.nodes[0].Labels[name]
	}
	labels[nodespec.LabelRole], labels[nodespec.LabelNode] = string(nodespec.RoleRegistry), RegistryName(r.cluster)
	node, err := r.m.provider.CreateNode(ctx, provider.NodeSpec{
		Name: RegistryName(r.cluster), Image: r.nodes[0].Image, Labels: labels,
		Network: r.cluster, Addrs: r.addrs(), Restart: true, Confined: true,
		Command: []string{nodespec.NodeBinary, "registry", registryFolder, ":" + strconv.Itoa(registryPort)},
	})
	if errors.Is(err, provider.ErrNameTaken) {
		return fmt.Errorf("another process makes it, or its name is in use: %w", err)
	}
	if err == nil {
		err = r.fill(ctx, node)
	}
	if err != nil {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTime)
		defer cancel()
		return errors.Join(err, r.m.provider.Remove(clean, r.selector()))
	}
	return nil
}

// fill streams the images into a registry that has not run yet, and starts it.
func (r *registry) fill(ctx context.Context, n provider.Node) error {
	stream := streamOf(r.images)
	defer stream.Close()
	if err := r.m.provider.CopyTo(ctx, n.ID, registryFolder, stream); err != nil {
		return err
	}
	if err := r.m.provider.StartNode(ctx, n.ID); err != nil {
		return err
	}
	return r.answers(ctx, n)
}

// answers waits until a node can ask the registry.
func (r *registry) answers(ctx context.Context, n provider.Node) error {
	i := slices.IndexFunc(r.nodes, runsContainers)
	if i < 0 {
		return errors.New("no node of the cluster is running")
	}
	return r.m.waitForRegistry(ctx, r.nodes[i], r.url(), func(ctx context.Context) error { return r.runs(ctx, n) })
}

// waitForRegistry waits until a node has an answer of a registry, or runs says why
// there will be none.
func (m *Manager) waitForRegistry(ctx context.Context, node provider.Node, url string, runs func(context.Context) error) error {
	ask := []string{"curl", "--silent", "--show-error", "--fail", "--max-time", "2", "--noproxy", "*", url + "/v2/"}
	var last error
	err := wait.PollUntilContextTimeout(ctx, registryPoll, registryTime, true, func(ctx context.Context) (bool, error) {
		if last = m.provider.Exec(ctx, node.ID, provider.Command{Args: ask}); last == nil {
			return true, nil
		}
		return false, runs(ctx)
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if wait.Interrupted(err) {
		return fmt.Errorf("it does not answer within %s: %w", registryTime, last)
	}
	return err
}

// runs fails when the registry's program has ended, with what it said.
func (r *registry) runs(ctx context.Context, n provider.Node) error {
	now, err := r.m.provider.Nodes(ctx, r.selector())
	if err != nil {
		return err
	}
	i := slices.IndexFunc(now, func(o provider.Node) bool { return o.ID == n.ID })
	if i >= 0 && now[i].State == provider.StateRunning {
		return nil
	}
	var said strings.Builder
	err = errors.New("its program ended; a node image made by another kluster may have none: build it again, and the cluster with it")
	if r.m.provider.Logs(ctx, n.ID, provider.LogOptions{}, &said) == nil && said.Len() > 0 {
		lines := strings.Split(strings.TrimSpace(said.String()), "\n")
		err = fmt.Errorf("%w (it said: %s)", err, lines[len(lines)-1])
	}
	return err
}

// addrs are fixed, so that they are the same after a restart and no proxy is asked:
// the last ones before those of Services of type LoadBalancer. Where a node has one of
// them the engine picks.
func (r *registry) addrs() []netip.Addr {
	var addrs []netip.Addr
	for _, p := range r.facts.Subnets {
		addr := balancerRange(p).Addr().Prev()
		if slices.ContainsFunc(r.nodes, func(n provider.Node) bool { return slices.Contains(n.Addrs, addr) }) || addr == nodeAddr(p, -1) {
			return nil
		}
		addrs = append(addrs, addr)
	}
	return addrs
}

// url is where nodes reach the registry.
func (r *registry) url() string {
	host := RegistryName(r.cluster)
	if addrs := r.addrs(); len(addrs) > 0 {
		host = addrs[0].String()
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(registryPort))
}

// mirror makes the nodes ask the registry.
func (r *registry) mirror(ctx context.Context) error {
	list := []nodespec.Mirror{{Of: registryOf, Endpoints: []string{r.url()}}}
	return r.m.setMirrors(ctx, r.nodes, nodespec.MirrorsOfCluster, list)
}

func isRegistry(n provider.Node) bool {
	return n.Labels[nodespec.LabelRole] == string(nodespec.RoleRegistry)
}

// runsContainers says whether pods can run on a machine now.
func runsContainers(n provider.Node) bool {
	return !isLoadBalancer(n) && !isRegistry(n) && n.State == provider.StateRunning
}

// machines are a cluster's nodes and its load balancer: not its registry, its lock and
// the records of faults, which are only seen when they are removed.
func (m *Manager) machines(ctx context.Context, cluster string) ([]provider.Node, error) {
	nodes, err := m.provider.Nodes(ctx, provider.Selector{nodespec.LabelCluster: cluster})
	return slices.DeleteFunc(nodes, func(n provider.Node) bool { return isRegistry(n) || isLock(n) || isFault(n) }), err
}

// machinesOf are the machines of a cluster that must exist, with its facts.
func (m *Manager) machinesOf(ctx context.Context, cluster string) ([]provider.Node, facts, error) {
	nodes, err := m.machines(ctx, cluster)
	if err != nil {
		return nil, facts{}, err
	}
	if len(nodes) == 0 {
		return nil, facts{}, m.noSuchCluster(ctx, cluster)
	}
	f, err := factsOf(nodes)
	return nodes, f, err
}
