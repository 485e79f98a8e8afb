package cluster

import (
	"errors"
	"net/netip"

	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

var errNoLoadBalancer = errors.New("the load balancer, which publishes the API, is gone")

// serverOf is the API's URL on the host, as the load balancer among a cluster's
// nodes publishes it.
func serverOf(nodes []provider.Node) (string, error) {
	for _, n := range nodes {
		if !isLoadBalancer(n) {
			continue
		}
		for _, p := range n.Ports {
			if p.NodePort == nodespec.APIPort {
				return "https://" + netip.AddrPortFrom(reachable(p.HostAddr), uint16(p.HostPort)).String(), nil
			}
		}
	}
	return "", errNoLoadBalancer
}

// reachable is where to reach what listens at an address: what listens on every
// one is reached by the loopback address, which is in the API's certificate.
func reachable(addr netip.Addr) netip.Addr {
	switch addr {
	case netip.IPv4Unspecified():
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case netip.IPv6Unspecified():
		return netip.IPv6Loopback()
	}
	return addr
}
