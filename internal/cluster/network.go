package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

// reserveName creates the load balancer's container, not yet started. Container
// names are the one thing an engine hands out atomically, so of two creates of
// one name exactly one gets past here, and the other has made nothing.
func (c *creation) reserveName(ctx context.Context) error {
	c.facts = facts{
		Kubernetes: c.cfg.KubernetesVersion, Runtime: c.cfg.Runtime, Ephemeral: c.cfg.Ephemeral, Hardened: c.cfg.Hardened, Kubeconfig: c.kubeconfig,
	}
	err := c.createLoadBalancer(ctx)
	if errors.Is(err, provider.ErrNameTaken) {
		c.made = false
		return fmt.Errorf("%w (%w)", &errExists{c.cfg.Name, "is being created by another process, or its name is in use"}, err)
	}
	return err
}

// createLoadBalancer makes the load balancer's container and settles where the
// API will answer on the host.
func (c *creation) createLoadBalancer(ctx context.Context) error {
	port, err := c.choosePort(ctx)
	if err != nil {
		return err
	}
	services, err := c.balancerPorts(ctx)
	if err != nil {
		return err
	}
	label, err := c.facts.label()
	if err != nil {
		return err
	}
	labels := c.labelsFor(nodespec.RoleLoadBalancer)
	labels[nodespec.LabelSpec] = label
	labels[nodespec.LabelNode] = LoadBalancerName(c.cfg.Name)
	// Before the call: one that is interrupted may have made it all the same.
	c.made = true
	lb, err := c.m.provider.CreateNode(ctx, provider.NodeSpec{
		Name: LoadBalancerName(c.cfg.Name), Image: c.image[c.cfg.Nodes[0].Name], Labels: labels,
		Network: c.cfg.Name, Restart: true, Ports: append([]provider.Port{port}, services...),
		Confined: true, User: nobody, Tmpfs: []string{"/tmp"}, // haproxy's socket is there
	})
	if err != nil {
		return err
	}
	c.nodes[lb.Name] = lb
	c.server, err = serverOf([]provider.Node{lb})
	return err
}

// nobody is who the load balancer runs as: it reads its configuration, and listens on
// ports that anybody may.
const nobody = "65534:65534"

func (c *creation) labelsFor(role nodespec.Role) map[string]string {
	labels := map[string]string{nodespec.LabelRole: string(role)}
	for k, v := range c.labels {
		labels[k] = v
	}
	return labels
}

// createNetwork makes the cluster's network and fixes every node's address.
func (c *creation) createNetwork(ctx context.Context) error {
	net, err := c.makeNetwork(ctx)
	if err != nil {
		return err
	}
	for i, n := range c.cfg.Nodes {
		for _, p := range net.Subnets {
			c.addrs[n.Name] = append(c.addrs[n.Name], nodeAddr(p, i))
		}
	}
	c.facts.Subnets = net.Subnets
	return nil
}

func (c *creation) makeNetwork(ctx context.Context) (provider.Network, error) {
	if want := c.cfg.Networking.NodeSubnets; len(want) > 0 {
		return c.tryNetwork(ctx, want)
	}
	taken, err := c.takenPrefixes(ctx)
	if err != nil {
		return provider.Network{}, err
	}
	for p := range candidates(taken) {
		net, err := c.tryNetwork(ctx, c.withFamilies(p))
		// Another create may have taken it since: on to the next.
		if !errors.Is(err, provider.ErrSubnetTaken) {
			return net, err
		}
	}
	return provider.Network{}, fmt.Errorf("no free subnet in %s: %w", subnetPool, provider.ErrSubnetTaken)
}

// withFamilies gives the subnets of the cluster's families, the primary first.
// An IPv6 network keeps an IPv4 subnet too: engines before 27 cannot do without.
func (c *creation) withFamilies(v4 netip.Prefix) []netip.Prefix {
	v6 := subnet6(c.id)
	switch c.cfg.Networking.IPFamily {
	case "ipv6":
		return []netip.Prefix{v6, v4}
	case "dual":
		if c.cfg.Networking.PodSubnets[0].Addr().Is6() {
			return []netip.Prefix{v6, v4}
		}
		return []netip.Prefix{v4, v6}
	default:
		return []netip.Prefix{v4}
	}
}

func (c *creation) tryNetwork(ctx context.Context, subnets []netip.Prefix) (provider.Network, error) {
	spec := provider.NetworkSpec{Name: c.cfg.Name, Labels: c.labels, Subnets: subnets}
	for _, p := range subnets {
		spec.Dynamic = append(spec.Dynamic, dynamicRange(p))
	}
	net, err := c.m.provider.CreateNetwork(ctx, spec)
	if err != nil {
		return provider.Network{}, err
	}
	net.Subnets = subnets
	return net, nil
}

// takenPrefixes are the networks a new one must not overlap: the engine's, the
// host's, and the cluster's own pods and Services.
func (c *creation) takenPrefixes(ctx context.Context) ([]netip.Prefix, error) {
	taken, err := hostPrefixes()
	if err != nil {
		return nil, err
	}
	nets, err := c.m.provider.Networks(ctx, nil)
	if err != nil {
		return nil, err
	}
	for _, n := range nets {
		taken = append(taken, n.Subnets...)
	}
	taken = append(taken, c.cfg.Networking.PodSubnets...)
	return append(taken, c.cfg.Networking.ServiceSubnets...), nil
}

// FreeSubnets gives up to ten subnets that a new cluster could have beside those
// taken.
func FreeSubnets(taken []netip.Prefix) ([]netip.Prefix, error) {
	host, err := hostPrefixes()
	if err != nil {
		return nil, err
	}
	var free []netip.Prefix
	for p := range candidates(append(host, taken...)) {
		if free = append(free, p); len(free) == 10 {
			break
		}
	}
	return free, nil
}
