package cluster

import (
	"net/netip"
	"slices"
)

// FreeSubnets lists the IPv4 subnets that new clusters could have, next first,
// given those of the engine's networks.
func FreeSubnets(taken []netip.Prefix) ([]netip.Prefix, error) {
	routed, err := hostPrefixes()
	if err != nil {
		return nil, err
	}
	return slices.Collect(candidates(slices.Concat(taken, routed))), nil
}
