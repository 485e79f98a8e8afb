package podnet

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Table is the nftables table that is the pod network's alone.
const Table = "kluster"

// Rules is the text for "nft -f -" that puts the pod network's packet rules in
// place of the earlier ones, in one transaction:
//
//   - Connections to the API's own Service that kube-proxy did not take lead to
//     api, an API server ("" if unknown). In a node's first seconds pods start
//     beside kube-proxy; each that is refused, CoreDNS among them, tries again
//     after a second and more.
//   - Packets of this node's pods to anywhere but pods leave with the node's
//     address, the only one that the world outside knows.
//   - Packets still addressed to a service after kube-proxy had its chance are
//     refused: no such service, port or endpoint is there, and outside the
//     node somebody may answer for any address.
func Rules(own, pods, services []netip.Prefix, api netip.AddrPort) string {
	var b strings.Builder
	// Declaring it first makes the deletion valid when there is none.
	fmt.Fprintf(&b, "table inet %[1]s\ndelete table inet %[1]s\ntable inet %[1]s {\n", Table)
	apiRules(&b, services, api)
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

// afterProxy is just after the priority of kube-proxy's chains, which is that of
// the name dstnat. The first rule that translates a connection wins.
const afterProxy = -99

// apiServicePort is that of the Service "kubernetes", which has the first address
// of the first service subnet (kube-apiserver's --service-cluster-ip-range).
const apiServicePort = 443

func apiRules(b *strings.Builder, services []netip.Prefix, api netip.AddrPort) {
	if len(services) == 0 || !api.IsValid() || api.Addr().Is4() != services[0].Addr().Is4() {
		return
	}
	family := families[slices.IndexFunc(families, func(f family) bool { return f.v4 == api.Addr().Is4() })].name
	for _, hook := range []string{"prerouting", "output"} {
		fmt.Fprintf(b, "\tchain api_%[1]s {\n\t\ttype nat hook %[1]s priority %[2]d; policy accept;\n\t\t%[3]s daddr %[4]s tcp dport %[5]d dnat %[3]s to %[6]s\n\t}\n",
			hook, afterProxy, family, services[0].Masked().Addr().Next(), apiServicePort, api)
	}
}

// family of addresses, as nftables names it.
type family struct {
	name string
	v4   bool
}

var families = []family{{"ip", true}, {"ip6", false}}

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
