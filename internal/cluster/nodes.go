package cluster

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/loadbalancer"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

// createNodes makes every container, puts its files in, and starts it, all at
// once: a node needs nothing of another to boot.
func (c *creation) createNodes(ctx context.Context) error {
	c.observe(ctx)
	g, ctx := errgroup.WithContext(ctx)
	made := make([]provider.Node, len(c.cfg.Nodes))
	for i, n := range c.cfg.Nodes {
		g.Go(func() (err error) { made[i], err = c.createNode(ctx, n); return err })
	}
	g.Go(func() error { return c.startLoadBalancer(ctx) })
	if err := g.Wait(); err != nil {
		return err
	}
	for _, n := range made {
		c.nodes[n.Name] = n
	}
	return nil
}

func (c *creation) createNode(ctx context.Context, n config.Node) (node provider.Node, err error) {
	files, err := c.nodeFiles(n)
	if err != nil {
		return provider.Node{}, err
	}
	err = c.onFreePorts(ctx, hasChosenPort(n.Ports), c.removeNode(n.Name), func(ctx context.Context) error {
		spec, err := c.nodeSpec(ctx, n)
		if err != nil {
			return err
		}
		if node, err = c.m.provider.CreateNode(ctx, spec); err != nil {
			return err
		}
		return c.fillAndStart(ctx, node, files)
	})
	return node, err
}

// fillAndStart streams files into a node that has not run yet, and starts it.
func (c *creation) fillAndStart(ctx context.Context, n provider.Node, files []nodespec.File) error {
	archive, err := tarOf(files, c.began)
	if err != nil {
		return fmt.Errorf("packing the files of %s: %w", n.Name, err)
	}
	if err := c.m.provider.CopyTo(ctx, n.ID, "/", archive); err != nil {
		return err
	}
	return c.m.provider.StartNode(ctx, n.ID)
}

func (c *creation) startLoadBalancer(ctx context.Context) error {
	cfg := loadbalancer.Config{Port: nodespec.APIPort, IPv6: c.cfg.Networking.IPFamily != "ipv4"}
	for _, n := range c.cfg.Nodes {
		if n.Role == nodespec.RoleControlPlane {
			cfg.Backends = append(cfg.Backends, loadbalancer.Backend{
				Name: n.Name, Addr: netip.AddrPortFrom(c.addrs[n.Name][0], nodespec.APIServerPort),
			})
		}
	}
	for i, m := range c.cfg.Networking.LoadBalancerPorts {
		cfg.Services = append(cfg.Services, loadbalancer.Service{
			Listen: nodespec.FirstServicePort + i, Port: m.ContainerPort, Addrs: firstAddrs(c.balancerAddrs()),
		})
	}
	text, err := loadbalancer.Render(cfg)
	if err != nil {
		return err
	}
	lb := c.nodes[LoadBalancerName(c.cfg.Name)]
	node, err := json.Marshal(nodespec.Node{
		Protocol: nodespec.Protocol, Cluster: c.cfg.Name, Name: lb.Name, Role: nodespec.RoleLoadBalancer,
	})
	if err != nil {
		return fmt.Errorf("encoding the load balancer's configuration: %w", err)
	}
	files := []nodespec.File{
		{Path: nodespec.NodeFile, Mode: 0o644, Data: node},
		{Path: nodespec.LoadBalancerConfig, Mode: 0o644, Data: text},
		{Path: loadbalancer.CAFile, Mode: 0o644, Data: c.ca.CACertificate()},
	}
	return c.onFreePorts(ctx, c.choosesBalancerPort(), c.moveLoadBalancer, func(ctx context.Context) error {
		return c.fillAndStart(ctx, c.nodes[lb.Name], files)
	})
}

func (c *creation) nodeSpec(ctx context.Context, n config.Node) (provider.NodeSpec, error) {
	own := c.facts
	own.Runtime = n.Runtime
	label, err := own.label()
	if err != nil {
		return provider.NodeSpec{}, err
	}
	labels := c.labelsFor(n.Role)
	labels[nodespec.LabelSpec] = label
	labels[nodespec.LabelNode] = n.Name
	spec := provider.NodeSpec{
		Name: n.Name, Image: c.image[n.Name], Labels: labels,
		Network: c.cfg.Name, Addrs: c.addrs[n.Name],
		Hosts:  map[string]netip.Addr{APIHost(c.cfg.Name): c.loopback()},
		System: true, Volumes: slices.Concat(nodespec.Volumes, cri.Volumes(c.runs[n.Name].held...)), Tmpfs: []string{"/run", "/tmp"},
		LayerMounts: c.layers[c.image[n.Name]],
		Restart:     true, CPUs: n.CPUs, Memory: n.Memory, Env: c.nodeEnv(n),
	}
	for _, m := range n.Mounts {
		spec.Mounts = append(spec.Mounts, provider.Mount{
			HostPath: m.HostPath, Path: m.ContainerPath, ReadOnly: m.ReadOnly,
			SELinuxRelabel: m.SELinuxRelabel, Propagation: propagations[m.Propagation],
		})
	}
	spec.Ports, err = c.ports(ctx, n.Ports)
	return spec, err
}

// propagations maps Kubernetes' names of mount propagation to Linux's.
var propagations = map[string]string{
	"": "", "None": "private", "HostToContainer": "rslave", "Bidirectional": "rshared",
}

func (c *creation) loopback() netip.Addr {
	if c.cfg.Networking.PodSubnets[0].Addr().Is6() {
		return netip.IPv6Loopback()
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

// nodeFile is nodespec.Node of one node, as JSON.
func (c *creation) nodeFile(n config.Node) ([]byte, error) {
	net := c.cfg.Networking
	spec := nodespec.Node{
		Protocol: nodespec.Protocol, Cluster: c.cfg.Name, Name: n.Name, Role: n.Role, Runtime: n.Runtime, OCIRuntime: n.OCIRuntime,
		Addrs: c.addrs[n.Name], APIHost: APIHost(c.cfg.Name), APIServers: c.apiServers(),
		PodSubnets: net.PodSubnets, ServiceSubnets: net.ServiceSubnets, CNI: net.CNI, BalancerAddrs: c.balancerAddrs(),
		KeepDNSSearch: net.DNSSearch == nil, MissingCaps: c.host.MissingCaps, PauseImage: c.pauseImage,
		RuntimePatches:     slices.Concat(c.cfg.Patches.Containerd, n.Patches.Containerd),
		RuntimeJSONPatches: slices.Concat(c.cfg.Patches.ContainerdJSON6902, n.Patches.ContainerdJSON6902),
	}
	if net.DNSSearch != nil {
		spec.DNSSearch = *net.DNSSearch
	}
	b, err := json.MarshalIndent(spec, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encoding the configuration of node %s: %w", n.Name, err)
	}
	return b, nil
}

// balancerAddrs are what Services of type LoadBalancer get addresses from.
func (c *creation) balancerAddrs() []nodespec.AddrRange {
	if c.cfg.Networking.LoadBalancer == "none" {
		return nil
	}
	return balancerAddrs(c.facts.Subnets, len(c.cfg.Nodes))
}

func (c *creation) apiServers() []string {
	var all []string
	for _, n := range c.cfg.Nodes {
		if n.Role == nodespec.RoleControlPlane {
			all = append(all, netip.AddrPortFrom(c.addrs[n.Name][0], nodespec.APIServerPort).String())
		}
	}
	return all
}

// nodeEnv is the node's environment: its proxies with all that is inside the cluster
// excepted, and what the user asked for.
func (c *creation) nodeEnv(n config.Node) map[string]string {
	env := map[string]string{}
	for k, v := range c.proxyEnv() {
		env[k], env[strings.ToLower(k)] = v, v
	}
	if len(env) > 0 {
		no := c.noProxy(env["NO_PROXY"])
		env["NO_PROXY"], env["no_proxy"] = no, no
	}
	maps.Copy(env, n.Env)
	return env
}

// proxyEnv is what the user wants, else the host's.
func (c *creation) proxyEnv() map[string]string {
	if c.cfg.Proxy == nil {
		return c.host.ProxyEnv
	}
	env := map[string]string{"HTTP_PROXY": c.cfg.Proxy.HTTP, "HTTPS_PROXY": c.cfg.Proxy.HTTPS}
	maps.DeleteFunc(env, func(_, v string) bool { return v == "" })
	if len(env) > 0 && len(c.cfg.Proxy.No) > 0 {
		env["NO_PROXY"] = strings.Join(c.cfg.Proxy.No, ",")
	}
	return env
}

func (c *creation) noProxy(given string) string {
	var all []string
	if given != "" {
		all = strings.Split(given, ",")
	}
	for _, p := range slices.Concat(c.cfg.Networking.PodSubnets, c.cfg.Networking.ServiceSubnets, c.facts.Subnets) {
		all = append(all, p.String())
	}
	for _, n := range c.cfg.Nodes {
		all = append(all, n.Name)
	}
	all = append(all, APIHost(c.cfg.Name), LoadBalancerName(c.cfg.Name), RegistryName(c.cfg.Name), "localhost", "127.0.0.1", "::1", nodespec.InternalDomain, ".svc", ".svc.cluster", ".svc.cluster.local")
	return strings.Join(all, ",")
}

// tarOf packs files with their parent folders (0755), as root's.
func tarOf(files []nodespec.File, at time.Time) (*bytes.Reader, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	dirs := map[string]bool{".": true, "/": true}
	for _, f := range files {
		if err := addParents(w, f.Path, dirs, at); err != nil {
			return nil, err
		}
		h := &tar.Header{Name: strings.TrimPrefix(f.Path, "/"), Mode: int64(f.Mode), ModTime: at, Typeflag: tar.TypeReg, Size: int64(len(f.Data))}
		if f.Link != "" {
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, f.Link, 0
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.Data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return bytes.NewReader(buf.Bytes()), nil
}

func addParents(w *tar.Writer, file string, have map[string]bool, at time.Time) error {
	dir := path.Dir(file)
	if have[dir] {
		return nil
	}
	if err := addParents(w, dir, have, at); err != nil {
		return err
	}
	have[dir] = true
	return w.WriteHeader(&tar.Header{Name: strings.TrimPrefix(dir, "/") + "/", Mode: 0o755, ModTime: at, Typeflag: tar.TypeDir})
}
