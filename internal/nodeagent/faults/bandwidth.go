package faults

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/kluster-project/kluster/internal/fault"
)

// What leaves waits in a queue until the link has room for it, as before a slow link
// (sch_htb). What arrives has been sent already: of that, what is too much is lost, and
// TCP senders slow down.

const (
	// rateQueue is the handle of the queue, and rateClass that of its class for the
	// peers; what goes elsewhere is in no class and does not wait.
	rateQueue, rateClass = "1f:", "1f:1"
	// burst is how many bytes pass at once: a packet between containers has up to 64 KiB.
	burst = 64 << 10
	// queued is how long a packet waits in a full queue, and queuedLeast its bytes.
	queued      = 4 // parts of a second
	queuedLeast = 2 * burst
)

func bandwidthRules(o fault.Order) (string, error) {
	rate, err := fault.Rate(o.Params[fault.ParamRate])
	if err != nil {
		return "", err
	}
	from, to, err := sides(o)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%stable inet %s {\n", emptied(o.ID), partitionTable(o.ID))
	rules(&b, "arrival", fmt.Sprintf("prerouting priority %d", onArrival), among("saddr", from),
		fmt.Sprintf("limit rate over %d bytes/second burst %d bytes counter drop", rate/8, burst))
	rules(&b, "leaving", fmt.Sprintf("postrouting priority %d", onLeaving), among("daddr", to), "meta priority set "+rateClass)
	b.WriteString("}\n")
	return b.String(), nil
}

// checkBandwidth tries a queue on a link that is down, and lets the kernel look at the
// rules.
func checkBandwidth(ctx context.Context, m *Machine, o fault.Order) error {
	text, err := bandwidthRules(o)
	if err != nil {
		return err
	}
	if _, err := m.Output(ctx, text, "nft", "--check", "--file", "-"); err != nil {
		return refuse("its kernel does not take the packet rules: %v", err)
	}
	if !leaves(o) {
		return nil
	}
	probe := "kl-" + short(o.ID)
	if err := addLink(probe, probe+"-e"); err != nil {
		return err
	}
	_, err = m.Output(ctx, "", "tc", "qdisc", "replace", "dev", probe, "root", "handle", rateQueue, "htb")
	if err != nil {
		err = refuse("its kernel has no CONFIG_NET_SCH_HTB, which makes what leaves wait (without it: --%s %s): %v", fault.ParamDirection, fault.In, err)
	}
	return errors.Join(err, removeLink(probe))
}

func leaves(o fault.Order) bool {
	for _, p := range o.Peers {
		if p.Out {
			return true
		}
	}
	return false
}

func slow(ctx context.Context, m *Machine, o fault.Order) error {
	text, err := bandwidthRules(o)
	if err != nil {
		return err
	}
	if leaves(o) {
		if err := m.addQueues(ctx, o); err != nil {
			return err
		}
	}
	_, err = m.Output(ctx, text, "nft", "--file", "-")
	return err
}

func (m *Machine) addQueues(ctx context.Context, o fault.Order) error {
	rate, err := fault.Rate(o.Params[fault.ParamRate])
	if err != nil {
		return err
	}
	links, err := linksTo(o.Peers)
	if err != nil {
		return err
	}
	bits, bytes := strconv.FormatInt(rate, 10)+"bit", strconv.Itoa(burst)
	limit := strconv.FormatInt(max(queuedLeast, rate/8/queued), 10)
	for _, link := range links {
		for _, args := range [][]string{
			{"qdisc", "add", "dev", link, "root", "handle", rateQueue, "htb"},
			{"class", "add", "dev", link, "parent", rateQueue, "classid", rateClass, "htb", "rate", bits, "burst", bytes, "cburst", bytes, "quantum", bytes},
			{"qdisc", "add", "dev", link, "parent", rateClass, "bfifo", "limit", limit},
		} {
			if _, err := m.Output(ctx, "", "tc", args...); err != nil {
				return err
			}
		}
	}
	return nil
}

func fast(ctx context.Context, m *Machine, o fault.Order) error {
	if _, err := m.Output(ctx, emptied(o.ID), "nft", "--file", "-"); err != nil {
		return err
	}
	have, err := m.Output(ctx, "", "tc", "qdisc", "show")
	if err != nil {
		return err
	}
	for _, link := range withQueue(have) {
		if _, err := m.Output(ctx, "", "tc", "qdisc", "del", "dev", link, "root", "handle", rateQueue); err != nil {
			return err
		}
	}
	return nil
}

// withQueue are the links that have our queue, by what "tc qdisc show" prints.
func withQueue(text string) []string {
	var links []string
	for line := range strings.Lines(text) {
		// qdisc htb 1f: dev eth0 root ...
		if f := strings.Fields(line); len(f) > 5 && f[1] == "htb" && f[2] == rateQueue && f[5] == "root" {
			links = append(links, f[4])
		}
	}
	return links
}
