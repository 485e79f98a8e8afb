package podnet

import (
	"fmt"
	"net/netip"
	"strings"
)

// Table is the nftables table that is the pod network's alone.
const Table = "kluster"

// Rules is the text for "nft -f -" that puts the pod network's packet rules in
// place of the earlier ones, in one transaction:
//
//   - Packets of this node's pods to anywhere but pods leave with the node's
//     address, the only one that the world outside knows.
//   - Packets still addressed to a service after kube-proxy had its chance are
//     refused: no such service, port or endpoint is there, and outside the
//     node somebody may answer for any address.
func Rules(own, pods, services []netip.Prefix) string {
	var b strings.Builder
	// Declaring it first makes the deletion valid when there is none.
	fmt.Fprintf(&b, "table inet %[1]s\ndelete table inet %[1]s\ntable inet %[1]s {\n", Table)
	b.WriteString("\tchain leave {\n\t\ttype nat hook postrouting priority srcnat; policy accept;\n")
	for _, f := range families {
		from, to := set(own, f.v4), set(pods, f.v4)
		if from != "" && to != "" {
			fmt.Fprintf(&b, "\t\t%[1]s saddr %[2]s %[1]s daddr != %[3]s masquerade fully-random\n", f.name, from, to)
		}
	}
	b.WriteString("\t}\n")
	for _, hook := range []string{"forward", "output"} {
		fmt.Fprintf(&b, "\tchain unserved_%[1]s {\n\t\ttype filter hook %[1]s priority filter; policy accept;\n", hook)
		for _, f := range families {
			if to := set(services, f.v4); to != "" {
				fmt.Fprintf(&b, "\t\t%[1]s daddr %[2]s meta l4proto tcp reject with tcp reset\n\t\t%[1]s daddr %[2]s reject with icmpx admin-prohibited\n", f.name, to)
			}
		}
		b.WriteString("\t}\n")
	}
	b.WriteString("}\n")
	return b.String()
}

// families as nftables names them.
var families = []struct {
	name string
	v4   bool
}{{"ip", true}, {"ip6", false}}

// set is the prefixes of one family as an nftables set, "" if there are none.
func set(prefixes []netip.Prefix, v4 bool) string {
	var words []string
	for _, p := range prefixes {
		if p.Addr().Is4() == v4 {
			words = append(words, p.Masked().String())
		}
	}
	if len(words) == 0 {
		return ""
	}
	return "{ " + strings.Join(words, ", ") + " }"
}
