package config

import (
	"net/netip"
	"slices"

	"github.com/kluster-project/kluster/configs/v1alpha1"
)

const (
	familyIPv4 = "ipv4"
	familyIPv6 = "ipv6"
	familyDual = "dual"
)

var (
	families   = []string{familyIPv4, familyIPv6, familyDual}
	proxyModes = []string{"iptables", "nftables", "none"}
	cnis       = []string{"default", "none"}
	balancers  = []string{"default", "none"}
)

// resolveNetworking fills c.Networking; the nodes are known by then.
func resolveNetworking(w *wish, c *Cluster, o Options, p *problems) {
	spec, net := w.Networking, &c.Networking
	net.IPFamily = choice(spec.IPFamily, families, "networking.ipFamily", p)
	net.CNI = choice(spec.CNI, cnis, "networking.cni", p)
	net.LoadBalancer = choice(spec.LoadBalancer, balancers, "networking.loadBalancer", p)
	net.LoadBalancerPorts = balancerPorts(w, net.LoadBalancer, p)
	net.KubeProxyMode = proxyMode(w, o, p)
	net.DNSSearch = spec.DNSSearch
	net.APIServerPort = hostPort(w, spec.APIServerPort, "networking.apiServerPort", p)
	net.APIServerAddress = apiServerAddress(spec, net.IPFamily, p)
	if slices.Contains(families, net.IPFamily) {
		resolveSubnets(spec, c, p)
	}
}

// choice is one of the known words, the first when nothing is given.
func choice(written string, known []string, field string, p *problems) string {
	if written == "" {
		return known[0]
	}
	if !slices.Contains(known, written) {
		p.add(field, nearest(written, known), "must be %s, not %q", alternatives(known), shorten(written))
	}
	return written
}

// proxyMode knows ipvs for a kind file only, where the kernel has it.
func proxyMode(w *wish, o Options, p *problems) string {
	const field = "networking.kubeProxyMode"
	if w.Networking.KubeProxyMode != "ipvs" || !w.kind {
		return choice(w.Networking.KubeProxyMode, proxyModes, field, p)
	}
	if !o.KernelHasIPVS {
		p.add(field, "use iptables or nftables, or load the kernel module ip_vs", "this host's kernel has no IPVS")
	}
	return "ipvs"
}

func apiServerAddress(spec v1alpha1.Networking, family string, p *problems) netip.Addr {
	switch {
	case spec.APIServerAddress != "":
		addr, err := netip.ParseAddr(spec.APIServerAddress)
		if err != nil {
			p.add("networking.apiServerAddress", "write it as 127.0.0.1", "%q is not an IP address", shorten(spec.APIServerAddress))
		}
		return addr
	case family == familyIPv6:
		return netip.IPv6Loopback()
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}
