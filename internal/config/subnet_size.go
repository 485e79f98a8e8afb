package config

import (
	"fmt"
	"net/netip"
)

// Sizes that kubeadm and kube-apiserver insist on.
const (
	// maxNodeRanges: a pod subnet has at most 2^16 ranges of nodes.
	maxNodeRangeBits = 16
	// A Service subnet has at least 2^4 and at most 2^20 addresses.
	minServiceBits, maxServiceBits = 4, 20
	// extraNodeAddrs: the network, the broadcast and the gateway address, and
	// the load balancer's.
	extraNodeAddrs = 4
)

// unusable says why no cluster can live in a subnet, or "".
func unusable(s netip.Prefix) string {
	switch a := s.Addr(); {
	case a.IsLoopback():
		return "is the loopback subnet"
	case a.IsMulticast() || a.IsLinkLocalUnicast() || s.Bits() == 0:
		return "cannot be a cluster's"
	}
	return ""
}

// checkPodSubnet wants a range for every node.
func checkPodSubnet(s netip.Prefix, c *Cluster) string {
	if complaint := unusable(s); complaint != "" {
		return complaint
	}
	mask, ok := nodeMask(c, s.Addr().Is6())
	ranges := mask - s.Bits()
	switch {
	case !ok:
		return "" // a patch sets it, in a way that only kubeadm can tell
	case ranges > maxNodeRangeBits:
		return fmt.Sprintf("is too large: with a /%d for each node it must be /%d or smaller", mask, mask-maxNodeRangeBits)
	case ranges < 0 || 1<<ranges < len(c.Nodes):
		return fmt.Sprintf("is too small: %d of a /%d are needed, one for each node", len(c.Nodes), mask)
	}
	return ""
}

func checkServiceSubnet(s netip.Prefix, _ *Cluster) string {
	if complaint := unusable(s); complaint != "" {
		return complaint
	}
	bits := s.Addr().BitLen()
	switch host := bits - s.Bits(); {
	case host > maxServiceBits:
		return fmt.Sprintf("is too large: it must be /%d or smaller", bits-maxServiceBits)
	case host < minServiceBits:
		return fmt.Sprintf("is too small: it must be /%d or larger", bits-minServiceBits)
	}
	return ""
}

func checkNodeSubnet(s netip.Prefix, c *Cluster) string {
	if complaint := unusable(s); complaint != "" {
		return complaint
	}
	host := s.Addr().BitLen() - s.Bits()
	if need := len(c.Nodes) + extraNodeAddrs; host < 16 && 1<<host < need {
		return fmt.Sprintf("is too small: %d addresses are needed, for %d of nodes and %d others", need, len(c.Nodes), extraNodeAddrs)
	}
	return ""
}
