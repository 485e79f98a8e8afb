package boot

import (
	"context"
	"fmt"
	"os"
	"strings"
)

// chooseIptables makes "iptables" the kind that already holds more rules (the
// engine's own, for its DNS server), and nft where neither does.
func chooseIptables(ctx context.Context, m *Machine) error {
	kind := "nft"
	if m.countRules(ctx, "legacy") > m.countRules(ctx, "nft") {
		kind = "legacy"
	}
	for _, program := range []string{"iptables", "ip6tables"} {
		target := "/usr/sbin/" + program + "-" + kind
		if link, err := os.Readlink(m.path("/etc/alternatives/" + program)); err == nil && link == target {
			continue
		}
		if _, err := m.Kernel.Output(ctx, "", "update-alternatives", "--set", program, target); err != nil {
			return fmt.Errorf("choosing %s: %w", target, err)
		}
	}
	return nil
}

// countRules counts rules of one kind of iptables; a kind that cannot be asked
// has none. Asking the legacy kind would load its kernel modules, so that is
// done only when it has tables here.
func (m *Machine) countRules(ctx context.Context, kind string) int {
	count := 0
	for program, tables := range map[string]string{
		"iptables": "/proc/net/ip_tables_names", "ip6tables": "/proc/net/ip6_tables_names",
	} {
		if kind == "legacy" {
			if names, err := os.ReadFile(m.path(tables)); err != nil || len(names) == 0 {
				continue
			}
		}
		rules, err := m.Kernel.Output(ctx, "", program+"-"+kind+"-save")
		if err != nil {
			continue
		}
		for line := range strings.Lines(rules) {
			if strings.HasPrefix(line, "-") {
				count++
			}
		}
	}
	return count
}
