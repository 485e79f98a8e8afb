package faults

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/kluster-project/kluster/internal/fault"
)

// What is lost must look lost to its sender, too. A rule that drops a packet on its way
// out says so to a sender on the same node: to UDP as an error, and TCP does not take the
// packet as sent. So what leaves is sent to a link that is down (the sink).
const (
	sink    = "kluster-sink"
	sinkEnd = "kluster-sink-e" // a pair has two ends
)

// lossTables are those of a loss: inet for what arrives, netdev for what leaves.
func lossTables(id string) []string {
	return []string{"inet " + partitionTable(id), "netdev " + partitionTable(id)}
}

// noTables declares tables before it deletes them, which is valid without them, too.
func noTables(id string) string {
	var b strings.Builder
	for _, t := range lossTables(id) {
		fmt.Fprintf(&b, "table %[1]s\ndelete table %[1]s\n", t)
	}
	return b.String()
}

// lossParts is how many parts nftables' random number has: two decimals of a percent.
const lossParts = 10_000

// lossRules is the text for nft.
func lossRules(o fault.Order, away string) (string, error) {
	percent, err := strconv.ParseFloat(o.Params[fault.ParamPercent], 64)
	if err != nil {
		return "", err
	}
	chance := fmt.Sprintf("numgen random mod %d < %d counter", lossParts, int(math.Round(percent*lossParts/100)))
	return losing(o, away, chance)
}

// losing is the text for nft that loses what arrives from peers and leaves to them, as
// far as a further condition holds; away is the link that swallows packets.
func losing(o fault.Order, away, condition string) (string, error) {
	from, to, err := sides(o)
	if err != nil {
		return "", err
	}
	tables := lossTables(o.ID)
	var b strings.Builder
	b.WriteString(noTables(o.ID))
	if len(from) > 0 {
		fmt.Fprintf(&b, "table %s {\n", tables[0])
		rules(&b, "arrival", fmt.Sprintf("prerouting priority %d", onArrival), among("saddr", from), condition+" drop")
		b.WriteString("}\n")
	}
	if len(to) == 0 {
		return b.String(), nil
	}
	links, err := linksTo(o.Peers)
	if err != nil {
		return "", err
	}
	fmt.Fprintf(&b, "table %s {\n", tables[1])
	for i, link := range links {
		hook := fmt.Sprintf("egress device %q priority 0", link)
		rules(&b, fmt.Sprintf("leaving-%d", i), hook, among("daddr", to), fmt.Sprintf("%s fwd to %q", condition, away))
	}
	b.WriteString("}\n")
	return b.String(), nil
}

// checkLoss lets the kernel look at the rules without taking them. The sink is not
// there yet; any link does.
func checkLoss(ctx context.Context, m *Machine, o fault.Order) error {
	text, err := lossRules(o, "lo")
	if err != nil {
		return err
	}
	return checkRules(ctx, m, text)
}

func checkRules(ctx context.Context, m *Machine, text string) error {
	if _, err := m.Output(ctx, text, "nft", "--check", "--file", "-"); err != nil {
		return refuse("its kernel does not take the packet rules; what leaves needs Linux 5.16 with CONFIG_NETFILTER_EGRESS"+
			" (older ones: --%s %s): %v", fault.ParamDirection, fault.In, err)
	}
	return nil
}

func lose(ctx context.Context, m *Machine, o fault.Order) error {
	if err := addLink(sink, sinkEnd); err != nil {
		return err
	}
	text, err := lossRules(o, sink)
	if err != nil {
		return err
	}
	_, err = m.Output(ctx, text, "nft", "--file", "-")
	return err
}

func loseNoMore(ctx context.Context, m *Machine, o fault.Order) error {
	if _, err := m.Output(ctx, noTables(o.ID), "nft", "--file", "-"); err != nil {
		return err
	}
	return removeLink(sink)
}

// addLink makes a pair of links that are down.
func addLink(name, end string) error {
	err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: end})
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("making the link %s: %w", name, err)
	}
	return nil
}

func removeLink(name string) error {
	link, err := netlink.LinkByName(name)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil
	}
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if err != nil {
		return fmt.Errorf("removing the link %s: %w", name, err)
	}
	return nil
}
