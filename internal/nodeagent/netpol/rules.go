package netpol

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// Table is the nftables table that is the policies' alone. There is none while no
// pod of the node is isolated.
const Table = "kluster-policy"

// Rules are the objects of the table, as nftables has them.
type Rules struct {
	// sets and maps, by name.
	sets map[string]set
	// chains are their rules, by name.
	chains map[string][]string
}

// set is a set or, with verdicts for elements' values, a map.
type set struct {
	kind, typ string // "set" and "ipv4_addr", "map" and "ipv4_addr : verdict"
	elements  map[string]string
}

// The only chain that sees packets by itself, and those that it consults. Packets
// between a node and its own pods do not pass it: a policy never keeps a kubelet
// from a pod. What kube-proxy translates, it has translated before.
const (
	entry     = "forward"
	entryHook = "{ type filter hook forward priority filter; policy accept; }"
)

// family is what nftables calls an address family.
type family struct {
	v4                       bool
	name, typ, proto, suffix string
}

var families = []family{{true, "ip", "ipv4_addr", "ipv4", "4"}, {false, "ip6", "ipv6_addr", "ipv6", "6"}}

// Render makes the table of a plan.
func Render(p Plan) Rules {
	r := Rules{sets: map[string]set{}, chains: map[string][]string{}}
	if len(p.Groups) == 0 {
		return r
	}
	// The answers to what is allowed are. What is not allowed any more ends in the
	// middle: each packet of its first direction is looked at.
	main := []string{"ct direction reply accept", "ct state related accept"}
	for _, f := range families {
		self := r.set("self"+f.suffix, "set", f.typ+" . "+f.typ)
		out := r.set("egress"+f.suffix, "map", f.typ+" : verdict")
		in := r.set("ingress"+f.suffix, "map", f.typ+" : verdict")
		for addr, group := range p.Egress {
			if addr.Is4() == f.v4 {
				out[addr.String()] = "jump " + group
				self[addr.String()+" . "+addr.String()] = ""
			}
		}
		for addr, group := range p.Ingress {
			if addr.Is4() == f.v4 {
				in[addr.String()] = "jump " + group
				self[addr.String()+" . "+addr.String()] = ""
			}
		}
		main = append(main,
			// A pod can always reach itself, by way of a Service.
			fmt.Sprintf("%[1]s saddr . %[1]s daddr @self%[2]s accept", f.name, f.suffix),
			fmt.Sprintf("%s saddr vmap @egress%s", f.name, f.suffix),
			fmt.Sprintf("%s daddr vmap @ingress%s", f.name, f.suffix))
	}
	r.chains[entry] = main
	for name, group := range p.Groups {
		r.chains[name] = r.chain(p, group)
	}
	return r
}

func (r Rules) set(name, kind, typ string) map[string]string {
	s, known := r.sets[name]
	if !known {
		s = set{kind, typ, map[string]string{}}
		r.sets[name] = s
	}
	return s.elements
}

// chain ends a packet's way in this direction where a rule allows it, and drops it
// where none does.
func (r Rules) chain(p Plan, g Group) []string {
	var lines []string
	for _, rule := range g.Allow {
		for _, match := range r.matches(p, rule, g.Direction) {
			lines = append(lines, strings.TrimSpace(match+" return"))
		}
	}
	return append(lines, fmt.Sprintf("drop comment %q", comment(g.Policies)))
}

// commentMax is nftables' limit of a comment, without its last zero.
const commentMax = 127

func comment(policies []string) string {
	text := strings.Join(policies, " ")
	return text[:min(len(text), commentMax)]
}

// matches are the conditions of a rule, once for all families where none of them
// has addresses.
func (r Rules) matches(p Plan, rule Rule, direction networkingv1.PolicyType) []string {
	if !rule.Block.IsValid() && rule.Peers == "" && rule.Named == "" {
		return []string{protocol(rule)}
	}
	other := "saddr"
	if direction == networkingv1.PolicyTypeEgress {
		other = "daddr"
	}
	var all []string
	for _, f := range families {
		if rule.Block.IsValid() && rule.Block.Addr().Is4() != f.v4 {
			continue
		}
		var words []string
		if rule.Block.IsValid() {
			words = append(words, block(f, other, rule)...)
		}
		if rule.Peers != "" {
			words = append(words, fmt.Sprintf("%s %s @%s", f.name, other, r.peers(f, rule.Peers, p)))
		}
		if rule.Named != "" {
			words = append(words, fmt.Sprintf("%s daddr . %s dport @%s", f.name, word(rule.Protocol), r.ports(f, rule.Named, p)))
		} else if text := protocol(rule); text != "" {
			words = append(words, text)
		}
		all = append(all, strings.Join(words, " "))
	}
	return all
}

func word(p corev1.Protocol) string { return strings.ToLower(string(p)) }

// block takes a range of all addresses for what it is: nft would leave the family
// out of the condition.
func block(f family, other string, rule Rule) []string {
	words := []string{fmt.Sprintf("%s %s %s", f.name, other, rule.Block)}
	if rule.Block.Bits() == 0 {
		words = []string{"meta nfproto " + f.proto}
	}
	for _, e := range rule.Except {
		words = append(words, fmt.Sprintf("%s %s != %s", f.name, other, e))
	}
	return words
}

// protocol is a rule's condition of protocol and port numbers.
func protocol(rule Rule) string {
	switch {
	case rule.Protocol == "":
		return ""
	case len(rule.Ports) == 0:
		return "meta l4proto " + word(rule.Protocol)
	}
	var ports []string
	for _, r := range rule.Ports {
		if r.First == r.Last {
			ports = append(ports, fmt.Sprint(r.First))
		} else {
			ports = append(ports, fmt.Sprintf("%d-%d", r.First, r.Last))
		}
	}
	if len(ports) == 1 {
		return fmt.Sprintf("%s dport %s", word(rule.Protocol), ports[0])
	}
	return fmt.Sprintf("%s dport { %s }", word(rule.Protocol), strings.Join(ports, ", "))
}

// peers is the name of a family's part of a set of addresses, which is made.
func (r Rules) peers(f family, name string, p Plan) string {
	elements := r.set(name+"-"+f.suffix, "set", f.typ)
	for _, addr := range p.Peers[name] {
		if addr.Is4() == f.v4 {
			elements[addr.String()] = ""
		}
	}
	return name + "-" + f.suffix
}

func (r Rules) ports(f family, name string, p Plan) string {
	elements := r.set("port-"+name+"-"+f.suffix, "set", f.typ+" . inet_service")
	for _, place := range p.Ports[name] {
		if place.Addr().Is4() == f.v4 {
			elements[fmt.Sprintf("%s . %d", place.Addr(), place.Port())] = ""
		}
	}
	return "port-" + name + "-" + f.suffix
}

// Empty says that there is nothing to hold.
func (r Rules) Empty() bool { return len(r.chains) == 0 }

// Replace is the text for "nft -f -" that puts the table in place of whatever is
// there, in one transaction.
func (r Rules) Replace() string {
	// Declaring it first makes the deletion valid when there is none.
	text := fmt.Sprintf("add table inet %[1]s\ndelete table inet %[1]s\n", Table)
	if r.Empty() {
		return text
	}
	return text + fmt.Sprintf("add table inet %s\n", Table) + r.Update(Rules{})
}

// Update is the text for "nft -f -" that makes the table of before this one, in one
// transaction; "" where they are the same. Both must have a table.
func (r Rules) Update(before Rules) string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	added, removed := keyDiff(before.sets, r.sets)
	for _, name := range added {
		say("add %s inet %s %s { type %s; }", r.sets[name].kind, Table, name, r.sets[name].typ)
	}
	addedChains, removedChains := keyDiff(before.chains, r.chains)
	for _, name := range addedChains {
		hook := ""
		if name == entry {
			hook = " " + entryHook
		}
		say("add chain inet %s %s%s", Table, name, hook)
	}
	// Verdicts can only name chains that are there, and rules sets.
	for _, name := range slices.Sorted(maps.Keys(r.chains)) {
		if slices.Equal(before.chains[name], r.chains[name]) {
			continue
		}
		if before.chains[name] != nil {
			say("flush chain inet %s %s", Table, name)
		}
		for _, rule := range r.chains[name] {
			say("add rule inet %s %s %s", Table, name, rule)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.sets)) {
		gone, come := elementDiff(before.sets[name].elements, r.sets[name].elements)
		if len(gone) > 0 {
			say("delete element inet %s %s { %s }", Table, name, strings.Join(gone, ", "))
		}
		if len(come) > 0 {
			say("add element inet %s %s { %s }", Table, name, strings.Join(come, ", "))
		}
	}
	for _, name := range removedChains {
		say("flush chain inet %[1]s %[2]s\ndelete chain inet %[1]s %[2]s", Table, name)
	}
	for _, name := range removed {
		say("delete %s inet %s %s", before.sets[name].kind, Table, name)
	}
	return b.String()
}

// keyDiff are the keys that only after has, and those that only before has.
func keyDiff[V any](before, after map[string]V) (added, removed []string) {
	for _, k := range slices.Sorted(maps.Keys(after)) {
		if _, had := before[k]; !had {
			added = append(added, k)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(before)) {
		if _, has := after[k]; !has {
			removed = append(removed, k)
		}
	}
	return added, removed
}

// elementDiff are the elements to remove and to add; one whose value is another now
// is in both.
func elementDiff(before, after map[string]string) (gone, come []string) {
	for _, k := range slices.Sorted(maps.Keys(before)) {
		if v, has := after[k]; !has || v != before[k] {
			gone = append(gone, k)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(after)) {
		v, had := before[k]
		if had && v == after[k] {
			continue
		}
		if value := after[k]; value != "" {
			come = append(come, k+" : "+value)
		} else {
			come = append(come, k)
		}
	}
	return gone, come
}

// addressCount is how many of a plan's pod addresses are isolated.
func (p Plan) addressCount() int {
	all := map[netip.Addr]bool{}
	for addr := range p.Ingress {
		all[addr] = true
	}
	for addr := range p.Egress {
		all[addr] = true
	}
	return len(all)
}
