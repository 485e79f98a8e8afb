package cluster

import (
	"crypto/sha256"
	"fmt"
	"iter"
	"net/netip"

	"github.com/vishvananda/netlink"

	"github.com/kluster-project/kluster/internal/nodespec"
)

// subnetPool is where the nodes' own networks come from: the upper quarter of
// 172.16.0.0/12, which Docker's own address pools hand out last.
var subnetPool = netip.MustParsePrefix("172.28.0.0/14")

// candidates yields the /24s of subnetPool that overlap none of taken, in order.
func candidates(taken []netip.Prefix) iter.Seq[netip.Prefix] {
	return func(yield func(netip.Prefix) bool) {
		base := subnetPool.Addr().As4()
		for i := range 1 << (24 - subnetPool.Bits()) {
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{base[0], base[1] + byte(i>>8), byte(i), 0}), 24)
			if !overlapsAny(p, taken) && !yield(p) {
				return
			}
		}
	}
}

func overlapsAny(p netip.Prefix, others []netip.Prefix) bool {
	for _, o := range others {
		if p.Overlaps(o) {
			return true
		}
	}
	return false
}

// subnet6 is the /64 of a cluster's network: a unique local prefix (RFC 4193)
// whose 40 random bits come from the creation's random ID.
func subnet6(creation string) netip.Prefix {
	sum := sha256.Sum256([]byte(creation))
	a := [16]byte{0xfd}
	copy(a[1:6], sum[:5])
	return netip.PrefixFrom(netip.AddrFrom16(a), 64)
}

// dynamicBits is the length of the range that an engine hands addresses out of
// in a large network. Docker's address management counts in 64 bits with a sign
// and refuses a range that is further in ("invalid bit range", Engine 20.10).
const dynamicBits = 96

// dynamicRange is the part of a subnet that the engine hands out: the last
// quarter, or of a large one its second /96. Fixed addresses come from below it,
// so that none is taken by a container that happens to start first.
func dynamicRange(p netip.Prefix) netip.Prefix {
	bits, set := p.Bits()+2, 2
	if p.Addr().Is6() && bits < dynamicBits {
		bits, set = dynamicBits, 1
	}
	a := p.Masked().Addr().AsSlice()
	for bit := bits - set; bit < bits; bit++ {
		a[bit/8] |= 0x80 >> (bit % 8)
	}
	addr, _ := netip.AddrFromSlice(a)
	return netip.PrefixFrom(addr, bits)
}

// maxBalancerBits bounds how many addresses are for Services of type LoadBalancer.
const maxBalancerBits = 8

// balancerRange is the part of a subnet that Services of type LoadBalancer get
// addresses from: as many as the engine hands out, but 256 at most, just below those.
// In a small subnet the last nodes may have some of them; see balancerAddrs.
func balancerRange(p netip.Prefix) netip.Prefix {
	dynamic := dynamicRange(p)
	bits := max(dynamic.Bits(), p.Addr().BitLen()-maxBalancerBits)
	return netip.PrefixFrom(dynamic.Addr().Prev(), bits).Masked()
}

// balancerAddrs is what a network of so many nodes has for Services of type
// LoadBalancer; subnets without any are left out.
func balancerAddrs(subnets []netip.Prefix, nodes int) []nodespec.AddrRange {
	var ranges []nodespec.AddrRange
	for _, p := range subnets {
		r := nodespec.AddrRange{First: balancerRange(p).Addr(), Last: dynamicRange(p).Addr().Prev()}
		if free := nodeAddr(p, nodes); r.First.Less(free) {
			r.First = free
		}
		if !r.Last.Less(r.First) {
			ranges = append(ranges, r)
		}
	}
	return ranges
}

// nodeAddr is the fixed address of the i-th node (from 0). The first host
// address is the gateway's; nodes begin at .2.
func nodeAddr(p netip.Prefix, i int) netip.Addr {
	a := p.Masked().Addr()
	for range i + 2 {
		a = a.Next()
	}
	return a
}

// hostPrefixes are the networks this machine has routes to: the ones a new
// network must not hide. Default routes do not count.
func hostPrefixes() ([]netip.Prefix, error) {
	routes, err := netlink.RouteList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("reading the host's routes: %w", err)
	}
	var out []netip.Prefix
	for _, r := range routes {
		if r.Dst == nil {
			continue
		}
		addr, ok := netip.AddrFromSlice(r.Dst.IP)
		ones, _ := r.Dst.Mask.Size()
		if ok && ones > 0 {
			out = append(out, netip.PrefixFrom(addr.Unmap(), ones))
		}
	}
	return out, nil
}
