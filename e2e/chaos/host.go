package chaos

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// probe is a program that shows a part of a host's network, and what of a line of its output
// is to be compared: nothing, for what an engine writes for its own networks.
type probe struct {
	name string
	cmd  []string
	keep func(lines []string) []string
}

// probes show the packet rules, queues, routes and links of a host.
var probes = []probe{
	{"iptables", []string{"iptables-save"}, packetRules},
	{"ip6tables", []string{"ip6tables-save"}, packetRules},
	{"iptables-legacy", []string{"iptables-legacy-save"}, packetRules},
	{"ip6tables-legacy", []string{"ip6tables-legacy-save"}, packetRules},
	{"nft", []string{"nft", "--stateless", "list", "ruleset"}, ownTables},
	{"tc", []string{"tc", "qdisc", "show"}, each(enginesQueue)},
	{"ip route", []string{"ip", "route", "show", "table", "all"}, each(enginesDevice)},
	{"ip -6 route", []string{"ip", "-6", "route", "show", "table", "all"}, each(enginesDevice)},
	{"ip rule", []string{"ip", "rule", "show"}, each(nothing)},
	{"ip -6 rule", []string{"ip", "-6", "rule", "show"}, each(nothing)},
	{"ip link", []string{"ip", "-o", "link", "show"}, links},
}

// Runner runs a program of a host, and gives what it prints.
type Runner func(ctx context.Context, cmd ...string) (string, error)

// HostNetwork is what there is of a host's network that neither an engine nor clusters
// change: a line each, with the name of the program that shows it. One that the host
// does not have shows that. Where there is none at all nothing can be said.
func HostNetwork(ctx context.Context, run Runner) ([]string, error) {
	var all []string
	var errs []error
	for _, p := range probes {
		text, err := p.read(ctx, run)
		if err != nil {
			all, errs = append(all, p.name+": cannot be read"), append(errs, fmt.Errorf("%s: %w", p.cmd[0], err))
			continue
		}
		for _, line := range p.keep(strings.Split(text, "\n")) {
			all = append(all, p.name+": "+line)
		}
	}
	if len(errs) == len(probes) {
		return nil, fmt.Errorf("the host's network cannot be seen; run it as root, with iptables, nft and ip at hand: %w", errors.Join(errs...))
	}
	return all, nil
}

// read runs the program, and once more if it fails: what another changes meanwhile disturbs it.
func (p probe) read(ctx context.Context, run Runner) (string, error) {
	text, err := run(ctx, p.cmd...)
	if err != nil {
		text, err = run(ctx, p.cmd...)
	}
	return text, err
}

// Changes are the lines that one list has more of than the other: "+" those that came, "-"
// those that went.
func Changes(before, after []string) []string {
	count := map[string]int{}
	for _, line := range after {
		count[line]++
	}
	for _, line := range before {
		count[line]--
	}
	var out []string
	for line, n := range count {
		switch {
		case n > 0:
			out = append(out, "+ "+line)
		case n < 0:
			out = append(out, "- "+line)
		}
	}
	slices.Sort(out)
	return out
}

// What an engine names its bridges and the links of containers, and what varies by itself.
var (
	device   = `(docker0|docker_gwbridge|br-[0-9a-f]{12}|veth[0-9a-f]+)`
	onDevice = regexp.MustCompile(`\bdev ` + device + `\b`)
	varies   = regexp.MustCompile(`\[\d+:\d+\]| refcnt \d+| expires \d+sec| linkdown`)
)

// enginesRules are rules of iptables that an engine writes: all in chains of its own but the
// user's, and for its bridges and published ports in chains of the kernel.
var enginesRules = []*regexp.Regexp{
	regexp.MustCompile(`^nat: -A DOCKER `),
	regexp.MustCompile(`^filter: -A DOCKER(-ISOLATION-STAGE-[12]|-FORWARD|-CT|-BRIDGE|-INTERNAL)? `),
	regexp.MustCompile(`^filter: -A FORWARD (! )?-[io] ` + device + ` .*-j (ACCEPT|DOCKER)$`),
	regexp.MustCompile(`^nat: -A POSTROUTING -s \S+ ! -o ` + device + ` -j MASQUERADE$`),
	regexp.MustCompile(`^nat: -A POSTROUTING -s (\S+) -d (\S+) -p (tcp|udp|sctp) .*--dport \d+ -j MASQUERADE$`),
	regexp.MustCompile(`^raw: -A PREROUTING -d \S+ ! -i ` + device + ` -j DROP$`),
	// Tables have these chains as soon as somebody looks there.
	regexp.MustCompile(`^\w+: :(PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING) ACCEPT$`),
}

// packetRules are lines of iptables-save, each with its table.
func packetRules(lines []string) []string {
	var out []string
	table := ""
	for _, line := range lines {
		line = plain(line)
		switch {
		case line == "", line == "COMMIT", strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "*"):
			table = line[1:]
		default:
			line = table + ": " + line
			if !slices.ContainsFunc(enginesRules, func(r *regexp.Regexp) bool { return r.MatchString(line) }) {
				out = append(out, line)
			}
		}
	}
	return out
}

// sharedTable is one that iptables keeps in nftables, and shows itself.
var sharedTable = regexp.MustCompile(`^table ip6? (nat|filter|raw|mangle|security) \{`)

// ownTables are the lines of nftables' tables that are not those of iptables.
func ownTables(lines []string) []string {
	var out []string
	table, shared := "", false
	for _, line := range lines {
		if strings.HasPrefix(line, "table ") {
			table, shared = strings.TrimSuffix(line, " {"), sharedTable.MatchString(line)
		}
		if line = plain(line); !shared && line != "" && !strings.HasPrefix(line, "#") {
			out = append(out, table+": "+line)
		}
	}
	return out
}

// linkName is the name of a link in a line of ip.
var linkName = regexp.MustCompile(`^\d+: ([^:@ ]+)`)

// links are the names of links that are not an engine's.
func links(lines []string) []string {
	var out []string
	for _, line := range lines {
		if m := linkName.FindStringSubmatch(line); m != nil && !onDevice.MatchString("dev "+m[1]) {
			out = append(out, m[1])
		}
	}
	return out
}

// each keeps the lines that some are not left out of.
func each(leaves func(line string) bool) func([]string) []string {
	return func(lines []string) []string {
		var out []string
		for _, line := range lines {
			if line = plain(line); line != "" && !leaves(line) {
				out = append(out, line)
			}
		}
		return out
	}
}

func nothing(string) bool { return false }

func enginesDevice(line string) bool { return onDevice.MatchString(line) }

// enginesQueue is the one that every link of containers has; any other is somebody's doing.
func enginesQueue(line string) bool {
	return enginesDevice(line) && strings.HasPrefix(line, "qdisc noqueue ")
}

func plain(line string) string { return strings.TrimSpace(varies.ReplaceAllString(line, "")) }
