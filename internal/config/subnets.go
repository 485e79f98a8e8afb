package config

import (
	"net/netip"
	"strings"

	"github.com/kluster-project/kluster/configs/v1alpha1"
)

// subnetUse is one of the three ranges of addresses of a cluster.
type subnetUse struct {
	field   string
	written string
	// v4 and v6 are the defaults; zero where there is none.
	v4, v6 netip.Prefix
	out    *[]netip.Prefix
	check  func(netip.Prefix, *Cluster) string
}

func subnetUses(spec v1alpha1.Networking, net *Networking) []subnetUse {
	return []subnetUse{
		{
			"networking.podSubnet", spec.PodSubnet, netip.MustParsePrefix("10.244.0.0/16"),
			netip.MustParsePrefix("fd00:10:244::/56"), &net.PodSubnets, checkPodSubnet,
		},
		{
			"networking.serviceSubnet", spec.ServiceSubnet, netip.MustParsePrefix("10.96.0.0/16"),
			netip.MustParsePrefix("fd00:10:96::/112"), &net.ServiceSubnets, checkServiceSubnet,
		},
		{"networking.nodeSubnet", spec.NodeSubnet, netip.Prefix{}, netip.Prefix{}, &net.NodeSubnets, checkNodeSubnet},
	}
}

// resolveSubnets reads or defaults the cluster's subnets and checks each, and
// all against each other.
func resolveSubnets(spec v1alpha1.Networking, c *Cluster, p *problems) {
	uses := subnetUses(spec, &c.Networking)
	for _, u := range uses {
		*u.out = readSubnets(u, c.Networking.IPFamily, p)
	}
	v6first := startsWithIPv6(uses)
	for _, u := range uses {
		*u.out = completeSubnets(u, *u.out, c.Networking.IPFamily, v6first, p)
		for _, prefix := range *u.out {
			if complaint := u.check(prefix, c); complaint != "" {
				p.add(u.field, "", "%s %s", prefix, complaint)
			}
		}
	}
	checkOverlaps(uses, p)
}

// startsWithIPv6 says which family is the primary one: that of the first pair
// of subnets, else of the first single one.
func startsWithIPv6(uses []subnetUse) bool {
	var primary netip.Prefix
	most := 0
	for _, u := range uses {
		if n := len(*u.out); n > most {
			most, primary = n, (*u.out)[0]
		}
	}
	return most > 0 && primary.Addr().Is6()
}

// readSubnets parses what is written; nil where it is not right.
func readSubnets(u subnetUse, family string, p *problems) []netip.Prefix {
	if u.written == "" {
		return nil
	}
	var out []netip.Prefix
	for part := range strings.SplitSeq(u.written, ",") {
		prefix, err := netip.ParsePrefix(strings.TrimSpace(part))
		if err != nil || prefix.Addr().Is4In6() {
			p.add(u.field, "write it as 10.244.0.0/16", "%q is not a subnet", shorten(part))
			return nil
		}
		out = append(out, prefix.Masked())
	}
	if complaint, hint := familyComplaint(out, family); complaint != "" {
		p.add(u.field, hint, "%s", complaint)
		return nil
	}
	return out
}

// familyComplaint says how prefixes do not fit the cluster's address families.
func familyComplaint(prefixes []netip.Prefix, family string) (complaint, hint string) {
	dual := family == familyDual
	switch first := prefixes[0].Addr(); {
	case len(prefixes) > 2 || len(prefixes) == 2 && first.Is4() == prefixes[1].Addr().Is4():
		return "must be one subnet, or one of each family with ipFamily dual", ""
	case len(prefixes) == 2 && !dual:
		return "two subnets need ipFamily dual", "set networking.ipFamily to dual"
	case !dual && first.Is4() != (family == familyIPv4):
		return "the subnet is not of ipFamily " + family, "set networking.ipFamily, or change the subnet"
	}
	return "", ""
}

// completeSubnets adds defaults; the family that is first in any subnet that
// was given is first in all.
func completeSubnets(u subnetUse, given []netip.Prefix, family string, v6first bool, p *problems) []netip.Prefix {
	defaults := map[string][]netip.Prefix{familyIPv4: {u.v4}, familyIPv6: {u.v6}, familyDual: {u.v4, u.v6}}[family]
	if v6first && family == familyDual {
		defaults = []netip.Prefix{u.v6, u.v4}
	}
	switch {
	case len(given) == len(defaults):
		if given[0].Addr().Is6() != v6first {
			p.add(u.field, "list the primary family first everywhere", "its families are in another order than those of another subnet")
		}
		return given
	case !u.v4.IsValid():
		if len(given) > 0 {
			p.add(u.field, "", "ipFamily dual needs one subnet of each family")
		}
		return given
	case len(given) == 0:
		return defaults
	case given[0].Addr().Is4() == defaults[0].Addr().Is4():
		return []netip.Prefix{given[0], defaults[1]}
	}
	return []netip.Prefix{defaults[0], given[0]}
}

// checkOverlaps compares every pair of subnets.
func checkOverlaps(uses []subnetUse, p *problems) {
	for i, a := range uses {
		for _, b := range uses[:i] {
			for _, x := range *a.out {
				for _, y := range *b.out {
					if x.Overlaps(y) {
						p.add(a.field, "", "%s overlaps %s of %s", x, y, b.field)
					}
				}
			}
		}
	}
}
