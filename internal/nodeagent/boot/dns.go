package boot

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/kluster-project/kluster/internal/nodeagent/hostnet"
)

// engineDNS is where Docker's DNS server answers in every container.
var engineDNS = netip.MustParseAddr("127.0.0.11")

const (
	resolvConf = "/etc/resolv.conf"
	dnsChain   = "KLUSTER_DNS"
)

// exposeDNS makes the engine's DNS server answer on an address that pods can
// reach too, the node's gateway (or the node's own address, without one), and
// names that address in resolv.conf. The server listens on ports of its own
// choice, which change with every start.
func exposeDNS(ctx context.Context, m *Machine) error {
	text, err := os.ReadFile(m.path(resolvConf))
	if err != nil {
		return fmt.Errorf("reading resolv.conf: %w", err)
	}
	ports, err := hostnet.PortsOn(m.Root, engineDNS)
	if err != nil {
		return fmt.Errorf("finding the engine's DNS server: %w", err)
	}
	server := engineDNS
	if ports.UDP != 0 {
		if server, err = m.dnsAddress(); err != nil {
			return err
		}
		if err := m.redirectDNS(ctx, server, ports); err != nil {
			return err
		}
	}
	rewritten := rewriteResolvConf(string(text), server, m.Node.DNSSearch, m.Node.KeepDNSSearch || m.Node.Name == "")
	if rewritten == string(text) {
		return nil
	}
	// The engine mounts this file: it can be written, not replaced.
	if err := os.WriteFile(m.path(resolvConf), []byte(rewritten), 0o644); err != nil {
		return fmt.Errorf("writing resolv.conf: %w", err)
	}
	return nil
}

// dnsAddress is the address that stands for the DNS server. Packets to it never
// leave the node.
func (m *Machine) dnsAddress() (netip.Addr, error) {
	route, err := hostnet.DefaultRoute(m.Root)
	if err == nil && route.Gateway.Is4() && !route.Gateway.IsUnspecified() {
		return route.Gateway, nil
	}
	for _, addr := range m.Node.Addrs {
		if addr.Is4() {
			return addr, nil
		}
	}
	return netip.Addr{}, errors.New("the node has no IPv4 gateway or address to put the engine's DNS server on")
}

func (m *Machine) redirectDNS(ctx context.Context, server netip.Addr, ports hostnet.Ports) error {
	now, err := m.Kernel.Output(ctx, "", "iptables-save", "-t", "nat")
	if err != nil {
		return err
	}
	_, err = m.Kernel.Output(ctx, dnsRules(now, server, ports), "iptables-restore", "--noflush")
	return err
}

// dnsRules is input for iptables-restore that sends DNS queries for server,
// the node's own and its pods', to the engine's DNS server; now is the NAT
// table as it is, to which a jump is added only once. Every rule names its
// port: copies of the engine's rules do not, where the versions of iptables on
// host and node differ.
func dnsRules(now string, server netip.Addr, ports hostnet.Ports) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*nat\n:%s - [0:0]\n", dnsChain)
	for _, p := range []struct {
		name string
		port uint16
	}{{"udp", ports.UDP}, {"tcp", ports.TCP}} {
		if p.port != 0 {
			fmt.Fprintf(&b, "-A %s -d %s/32 -p %s -m %s --dport 53 -j DNAT --to-destination %s:%d\n",
				dnsChain, server, p.name, p.name, engineDNS, p.port)
		}
	}
	for _, hook := range []string{"PREROUTING", "OUTPUT"} {
		if jump := fmt.Sprintf("-A %s -j %s\n", hook, dnsChain); !strings.Contains(now, jump) {
			b.WriteString(jump)
		}
	}
	b.WriteString("COMMIT\n")
	return b.String()
}

// rewriteResolvConf names server in place of the engine's DNS server and, if
// not keepSearch, replaces the search list (an empty one removes it).
func rewriteResolvConf(text string, server netip.Addr, search []string, keepSearch bool) string {
	var out strings.Builder
	if !keepSearch && len(search) > 0 {
		out.WriteString("search " + strings.Join(search, " ") + "\n")
	}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		switch {
		case len(fields) > 0 && !keepSearch && (fields[0] == "search" || fields[0] == "domain"):
		case len(fields) == 2 && fields[0] == "nameserver" && fields[1] == engineDNS.String():
			out.WriteString("nameserver " + server.String() + "\n")
		default:
			out.WriteString(line)
		}
	}
	return out.String()
}
