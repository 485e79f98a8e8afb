package boot

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
)

// kernelParameter is a file below /proc/sys and what it must hold.
type kernelParameter struct {
	path, value string
	// ipv6Only parameters are set only on nodes that have IPv6 addresses.
	ipv6Only bool
}

var kernelParameters = []kernelParameter{
	{path: "net/ipv4/ip_forward", value: "1"},
	// Pods reach the engine's DNS server, which listens on 127.0.0.11.
	{path: "net/ipv4/conf/all/route_localnet", value: "1"},
	// Point-to-point links to pods have an address that is on no interface
	// of the asked one.
	{path: "net/ipv4/conf/all/arp_ignore", value: "0"},
	// Pods cannot send with an address that is not theirs.
	{path: "net/ipv4/conf/all/rp_filter", value: "1"},
	{path: "net/ipv4/conf/default/rp_filter", value: "1"},
	// Every packet to a Service without endpoints is refused aloud. The kernel's
	// limit of one answer a second (after six) leaves others in silence: a
	// resolver whose server is not up yet waits for 5 seconds each time.
	{path: "net/ipv4/icmp_ratelimit", value: "0"},
	{path: "net/ipv6/icmp/ratelimit", value: "0", ipv6Only: true},
	{path: "net/ipv6/conf/all/disable_ipv6", value: "0", ipv6Only: true},
	{path: "net/ipv6/conf/default/disable_ipv6", value: "0", ipv6Only: true},
	{path: "net/ipv6/conf/all/forwarding", value: "1", ipv6Only: true},
	{path: "net/ipv6/conf/default/forwarding", value: "1", ipv6Only: true},
}

// setKernelParameters sets those of the node's own network namespace. A
// parameter the kernel does not have is left alone; one that cannot be written
// but holds the value already is fine.
func setKernelParameters(_ context.Context, m *Machine) error {
	ipv6 := slices.ContainsFunc(m.Node.Addrs, netip.Addr.Is6)
	var problems []error
	for _, p := range kernelParameters {
		if p.ipv6Only && !ipv6 {
			continue
		}
		problems = append(problems, m.setKernelParameter(p))
	}
	return errors.Join(problems...)
}

func (m *Machine) setKernelParameter(p kernelParameter) error {
	path := m.path("/proc/sys/" + p.path)
	now, err := os.ReadFile(path)
	if os.IsNotExist(err) || err == nil && string(now) == p.value+"\n" {
		return nil
	}
	if err := os.WriteFile(path, []byte(p.value+"\n"), 0o644); err != nil {
		return fmt.Errorf("setting kernel parameter %s to %s: %w", p.path, p.value, err)
	}
	return nil
}
