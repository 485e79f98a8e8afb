package faults

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/kluster-project/kluster/internal/fault"
)

// partitionTable is the nftables table of a partition, which holds nothing else.
func partitionTable(id string) string { return "kluster_fault_" + id }

const (
	// onArrival is before connection tracking and all address translation: packets are
	// seen as the other side has sent them. onLeaving is after all of it.
	onArrival = -450
	onLeaving = 450
)

// routesVia gives the prefixes that the node reaches by way of another's addresses:
// the ranges of its pods.
var routesVia = func(via []netip.Addr) ([]netip.Prefix, error) {
	routes, err := netlink.RouteList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("reading the node's routes: %w", err)
	}
	var found []netip.Prefix
	for _, r := range routes {
		gateway, ok := netip.AddrFromSlice(r.Gw)
		if !ok || r.Dst == nil || !slices.Contains(via, gateway.Unmap()) {
			continue
		}
		if addr, ok := netip.AddrFromSlice(r.Dst.IP); ok {
			bits, _ := r.Dst.Mask.Size()
			found = append(found, netip.PrefixFrom(addr.Unmap(), bits))
		}
	}
	return found, nil
}

// checkPartition lets the kernel look at the rules without taking them.
func checkPartition(ctx context.Context, m *Machine, o fault.Order) error {
	rules, err := partitionRules(o)
	if err != nil {
		return err
	}
	if _, err := m.Output(ctx, rules, "nft", "--check", "--file", "-"); err != nil {
		return refuse("its kernel does not take the packet rules: %v", err)
	}
	return nil
}

func cutOff(ctx context.Context, m *Machine, o fault.Order) error {
	rules, err := partitionRules(o)
	if err != nil {
		return err
	}
	_, err = m.Output(ctx, rules, "nft", "--file", "-")
	return err
}

func reunite(ctx context.Context, m *Machine, o fault.Order) error {
	_, err := m.Output(ctx, emptied(o.ID), "nft", "--file", "-")
	return err
}

// emptied declares a table before it deletes it, which is valid without one, too.
func emptied(id string) string {
	return fmt.Sprintf("table inet %[1]s\ndelete table inet %[1]s\n", partitionTable(id))
}

// partitionRules is the text for nft that drops what goes to and comes from the peers
// and their pods.
func partitionRules(o fault.Order) (string, error) {
	from, to, err := sides(o)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%stable inet %s {\n", emptied(o.ID), partitionTable(o.ID))
	rules(&b, "arrival", fmt.Sprintf("prerouting priority %d", onArrival), among("saddr", from), "counter drop")
	rules(&b, "leaving", fmt.Sprintf("postrouting priority %d", onLeaving), among("daddr", to), "counter drop")
	b.WriteString("}\n")
	return b.String(), nil
}

// setOf is the prefixes of one family as an nftables set, without any that lies in
// another: nft refuses those. It is "" if there are none.
func setOf(prefixes []netip.Prefix, v4 bool) string {
	var words []string
	for i, p := range prefixes {
		inside := func(j int, q netip.Prefix) bool {
			return i != j && q.Overlaps(p) && (q.Bits() < p.Bits() || q.Bits() == p.Bits() && j < i)
		}
		covered := false
		for j, q := range prefixes {
			covered = covered || inside(j, q)
		}
		if p.Addr().Is4() == v4 && !covered {
			words = append(words, p.Masked().String())
		}
	}
	if len(words) == 0 {
		return ""
	}
	return "{ " + strings.Join(words, ", ") + " }"
}
