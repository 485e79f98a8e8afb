package faults

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/kluster-project/kluster/internal/fault"
	"github.com/kluster-project/kluster/internal/nodeagent/delay"
)

// Latency is made of the packets that arrive: a rule hands them to a process that keeps
// them for a while (package delay). sch_netem is in fewer kernels than the rule's target,
// holds a whole interface, and what leaves. What leaves would be the wrong end for a
// process besides: TCP gives away two packets or so at a time, and no more until they
// have left the machine.

// delayQueue is the number of the kernel's packet queue. A node has one latency at a time.
const delayQueue = 27641

// delayChain holds the rules of a fault, in the table "raw": before connection tracking,
// which takes packets that it has not seen leave for lost.
func delayChain(id string) string { return "KLUSTER-LATENCY-" + short(id) }

// short is as much of an ID as fits into the names of chains and links.
func short(id string) string { return id[:min(len(id), 8)] }

// families are the programs that put rules of a family in place.
var families = []struct {
	v4            bool
	name, restore string
}{{true, "iptables", "iptables-restore"}, {false, "ip6tables", "ip6tables-restore"}}

// checkLatency tries the rules: there is nothing that tells what the kernel takes. They
// do nothing while nobody listens to the queue.
func checkLatency(ctx context.Context, m *Machine, o fault.Order) error {
	if c, err := delayOf(o); err != nil {
		return err
	} else if c.Jitter > c.Delay {
		return refuse("the jitter, %v, is more than the delay, %v", c.Jitter, c.Delay)
	}
	if err := lateBy(ctx, m, o); err != nil {
		_ = onTime(ctx, m, o)
		return refuse("its kernel does not hand packets over, which needs CONFIG_NETFILTER_XT_TARGET_NFQUEUE"+
			" (kluster does without CONFIG_NET_SCH_NETEM): %v", err)
	}
	return onTime(ctx, m, o)
}

func lateBy(ctx context.Context, m *Machine, o fault.Order) error {
	from, _, err := sides(o)
	if err != nil {
		return err
	}
	for _, f := range families {
		text := delayRules(o.ID, from, f.v4)
		if text == "" {
			continue
		}
		if _, err := m.Output(ctx, text, f.restore, "--noflush", "--wait"); err != nil {
			return err
		}
	}
	return nil
}

// delayRules is the text for iptables-restore; "" without an address of the family. The
// packets of a queue that nobody listens to pass ("bypass").
func delayRules(id string, from []netip.Prefix, v4 bool) string {
	var b strings.Builder
	for _, p := range from {
		if p.Addr().Is4() == v4 {
			fmt.Fprintf(&b, "-A %s -s %s -j NFQUEUE --queue-num %d --queue-bypass\n", delayChain(id), p, delayQueue)
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return fmt.Sprintf("*raw\n:%[1]s - [0:0]\n-A PREROUTING -j %[1]s\n%[2]sCOMMIT\n", delayChain(id), b.String())
}

// onTime removes the rules, those of a family only where they are.
func onTime(ctx context.Context, m *Machine, o fault.Order) error {
	chain := delayChain(o.ID)
	for _, f := range families {
		rule := []string{"--wait", "-t", "raw", "-D", "PREROUTING", "-j", chain}
		for {
			if _, err := m.Output(ctx, "", f.name, rule...); err != nil {
				break // it is not there, or not any more
			}
		}
		have, err := m.Output(ctx, "", f.name, "--wait", "-t", "raw", "-S")
		if err != nil || !strings.Contains(have, "-N "+chain+"\n") {
			continue
		}
		for _, act := range []string{"-F", "-X"} {
			if _, err := m.Output(ctx, "", f.name, "--wait", "-t", "raw", act, chain); err != nil {
				return err
			}
		}
	}
	return nil
}

func delayOf(o fault.Order) (delay.Config, error) {
	c := delay.Config{Queue: delayQueue}
	for name, to := range map[string]*time.Duration{fault.ParamDelay: &c.Delay, fault.ParamJitter: &c.Jitter} {
		var err error
		if *to, err = time.ParseDuration(o.Params[name]); err != nil {
			return c, err
		}
	}
	return c, nil
}

// keepBack is the process that delays.
func keepBack(ctx context.Context, m *Machine, o fault.Order) error {
	c, err := delayOf(o)
	if err != nil {
		return err
	}
	return delay.Run(ctx, c, m.Ready)
}
