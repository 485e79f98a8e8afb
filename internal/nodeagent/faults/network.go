package faults

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/kluster-project/kluster/internal/fault"
)

// sides are the prefixes that what is hit comes from, and those that it goes to: the
// peers and their pods.
func sides(o fault.Order) (from, to []netip.Prefix, err error) {
	for _, p := range o.Peers {
		all, err := routesVia(p.Addrs)
		if err != nil {
			return nil, nil, err
		}
		for _, a := range p.Addrs {
			all = append(all, netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()))
		}
		if p.In {
			from = append(from, all...)
		}
		if p.Out {
			to = append(to, all...)
		}
	}
	return from, to, nil
}

// among are nftables' matches for packets that have an address among prefixes, one for
// each family that there is.
func among(field string, prefixes []netip.Prefix) []string {
	var matches []string
	for _, f := range []struct {
		family string
		v4     bool
	}{{"ip", true}, {"ip6", false}} {
		if set := setOf(prefixes, f.v4); set != "" {
			matches = append(matches, f.family+" "+field+" "+set)
		}
	}
	return matches
}

// rules writes a chain with a rule for each match.
func rules(b *strings.Builder, name, hook string, matches []string, verdict string) {
	if len(matches) == 0 {
		return
	}
	fmt.Fprintf(b, "\tchain %s {\n\t\ttype filter hook %s; policy accept;\n", name, hook)
	for _, match := range matches {
		fmt.Fprintf(b, "\t\t%s %s\n", match, verdict)
	}
	b.WriteString("\t}\n")
}

// linksTo gives the names of the links by which a node reaches its peers.
var linksTo = func(peers []fault.Peer) ([]string, error) {
	var names []string
	for _, p := range peers {
		for _, a := range p.Addrs {
			routes, err := netlink.RouteGet(a.AsSlice())
			if err != nil || len(routes) == 0 {
				return nil, fmt.Errorf("finding the way to %s: %w", p.Name, err)
			}
			link, err := netlink.LinkByIndex(routes[0].LinkIndex)
			if err != nil {
				return nil, fmt.Errorf("finding the way to %s: %w", p.Name, err)
			}
			names = append(names, link.Attrs().Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}
