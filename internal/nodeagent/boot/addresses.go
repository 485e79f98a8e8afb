package boot

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/kluster-project/kluster/internal/nodeagent/hostnet"
)

// keepAddresses puts the node's fixed addresses back when the engine started
// it with others: certificates, etcd's members and the other nodes' proxies
// know the node by them, and they lie outside what engines hand out by chance.
func keepAddresses(ctx context.Context, m *Machine) error {
	if len(m.Node.Addrs) == 0 {
		return nil
	}
	have, err := localAddresses()
	if err != nil {
		return err
	}
	for _, want := range m.Node.Addrs {
		if slices.Contains(have, want) {
			continue
		}
		route, err := hostnet.DefaultRoute(m.Root)
		if err != nil {
			return fmt.Errorf("finding the interface for %s: %w", want, err)
		}
		m.Log.Warn("the engine gave the node another address; adding its own", "address", want, "have", have)
		if err := m.addAddress(ctx, want, route.Interface); err != nil {
			return err
		}
	}
	return nil
}

func (m *Machine) addAddress(ctx context.Context, addr netip.Addr, iface string) error {
	bits, err := interfaceBits(iface, addr.Is4())
	if err != nil {
		return err
	}
	_, err = m.Kernel.Output(ctx, "", "ip", "address", "replace", netip.PrefixFrom(addr, bits).String(), "dev", iface)
	return err
}

func localAddresses() ([]netip.Addr, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("listing addresses: %w", err)
	}
	var out []netip.Addr
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			out = append(out, p.Addr().Unmap())
		}
	}
	return out, nil
}

// interfaceBits is the prefix length of the subnet that iface is in.
func interfaceBits(iface string, ipv4 bool) (int, error) {
	link, err := net.InterfaceByName(iface)
	if err != nil {
		return 0, fmt.Errorf("looking at interface %s: %w", iface, err)
	}
	addrs, err := link.Addrs()
	if err != nil {
		return 0, fmt.Errorf("listing addresses of %s: %w", iface, err)
	}
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err == nil && p.Addr().Is4() == ipv4 && !p.Addr().IsLinkLocalUnicast() {
			return p.Bits(), nil
		}
	}
	return 0, fmt.Errorf("interface %s has no address of that family", iface)
}
