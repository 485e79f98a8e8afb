package podnet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/kluster-project/kluster/internal/nodeagent/nft"
	"github.com/kluster-project/kluster/internal/nodespec"
)

// routeProtocol marks the routes of this service in the kernel's table, so that
// it removes its own stale ones and nobody else's. The number is free in
// iproute2's list (rt_protos).
const routeProtocol = 107

// LinuxHost is the Host of a real node.
type LinuxHost struct {
	// NetworkFile is where the ranges are published, and MTU goes with them.
	NetworkFile string
	MTU         int
}

var _ Host = LinuxHost{}

// Publish writes the file of ranges, unless it says the same already.
func (h LinuxHost) Publish(ranges []netip.Prefix) error {
	text, err := json.Marshal(nodespec.PodRanges{Ranges: ranges, MTU: h.MTU})
	if err != nil {
		return err
	}
	if now, err := os.ReadFile(h.NetworkFile); err == nil && string(now) == string(text) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(h.NetworkFile), 0o755); err != nil {
		return err
	}
	temp := h.NetworkFile + ".new"
	if err := os.WriteFile(temp, text, 0o644); err != nil {
		return err
	}
	return os.Rename(temp, h.NetworkFile)
}

// Filter runs nft.
func (LinuxHost) Filter(ctx context.Context, rules string) error { return nft.Apply(ctx, rules) }

// Route compares the kernel's table with what shall be and changes what differs.
func (LinuxHost) Route(want []Route) error {
	have, err := netlink.RouteListFiltered(netlink.FAMILY_ALL,
		&netlink.Route{Protocol: routeProtocol, Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_PROTOCOL|netlink.RT_FILTER_TABLE)
	if err != nil {
		return fmt.Errorf("listing routes: %w", err)
	}
	var present []Route
	for _, r := range have {
		present = append(present, fromNetlink(r))
	}
	remove, add := diff(present, want)
	var problems []error
	for _, i := range remove {
		if err := netlink.RouteDel(&have[i]); err != nil && !errors.Is(err, unix.ESRCH) {
			problems = append(problems, fmt.Errorf("removing route to %s: %w", present[i].Dst, err))
		}
	}
	for _, r := range add {
		if err := netlink.RouteReplace(toNetlink(r)); err != nil {
			problems = append(problems, fmt.Errorf("adding route to %s by %s: %w", r.Dst, r.Via, err))
		}
	}
	return errors.Join(problems...)
}

// diff tells which of have must go, by index, and which of want are missing.
// One whose destination stays is replaced, not removed.
func diff(have, want []Route) (remove []int, add []Route) {
	wanted, kept := map[netip.Prefix]netip.Addr{}, map[Route]bool{}
	for _, r := range want {
		wanted[r.Dst] = r.Via
	}
	for i, r := range have {
		if _, ok := wanted[r.Dst]; !ok {
			remove = append(remove, i)
		}
		kept[r] = true
	}
	for _, r := range want {
		if !kept[r] {
			add = append(add, r)
		}
	}
	return remove, add
}

func toNetlink(r Route) *netlink.Route {
	return &netlink.Route{
		Dst: &net.IPNet{
			IP:   r.Dst.Addr().AsSlice(),
			Mask: net.CIDRMask(r.Dst.Bits(), r.Dst.Addr().BitLen()),
		},
		Gw:       r.Via.AsSlice(),
		Protocol: routeProtocol,
	}
}

func fromNetlink(r netlink.Route) Route {
	var out Route
	if r.Dst != nil {
		addr, _ := netip.AddrFromSlice(r.Dst.IP)
		bits, _ := r.Dst.Mask.Size()
		out.Dst = netip.PrefixFrom(addr.Unmap(), bits)
	}
	via, _ := netip.AddrFromSlice(r.Gw)
	out.Via = via.Unmap()
	return out
}
