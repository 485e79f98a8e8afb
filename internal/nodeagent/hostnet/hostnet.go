// Package hostnet reads what a node's boot and its services need to know of
// its network from /proc and /sys: the default route and the sockets of a
// loopback server.
package hostnet

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ErrNoDefaultRoute says that the node has no way out.
var ErrNoDefaultRoute = errors.New("no default route")

// Route is the node's default route.
type Route struct {
	Interface string
	Gateway   netip.Addr // IPv4 where there is one
	MTU       int        // of the interface, bytes
}

// DefaultRoute finds the default route, IPv4 before IPv6, below root ("" or
// "/" on a node). It returns ErrNoDefaultRoute where there is none.
func DefaultRoute(root string) (Route, error) {
	route, err := defaultIPv4(root)
	if errors.Is(err, ErrNoDefaultRoute) {
		route, err = defaultIPv6(root)
	}
	if err != nil {
		return Route{}, err
	}
	route.MTU, err = mtu(root, route.Interface)
	return route, err
}

func defaultIPv4(root string) (Route, error) {
	lines, err := table(root, "/proc/net/route")
	if err != nil {
		return Route{}, err
	}
	for _, f := range lines {
		// Iface Destination Gateway Flags RefCnt Use Metric Mask
		if len(f) >= 8 && f[1] == "00000000" && f[7] == "00000000" {
			addr, err := hexAddr(f[2])
			if err != nil {
				return Route{}, err
			}
			return Route{Interface: f[0], Gateway: addr}, nil
		}
	}
	return Route{}, ErrNoDefaultRoute
}

func defaultIPv6(root string) (Route, error) {
	lines, err := table(root, "/proc/net/ipv6_route")
	if errors.Is(err, os.ErrNotExist) {
		return Route{}, ErrNoDefaultRoute
	}
	if err != nil {
		return Route{}, err
	}
	zero := strings.Repeat("0", 32)
	for _, f := range lines {
		// destination length source length next-hop metric refs use flags device
		if len(f) < 10 || f[0] != zero || f[1] != "00" || f[4] == zero {
			continue
		}
		raw, err := hex.DecodeString(f[4])
		if err != nil {
			return Route{}, fmt.Errorf("reading IPv6 route: %w", err)
		}
		addr, _ := netip.AddrFromSlice(raw)
		return Route{Interface: f[9], Gateway: addr}, nil
	}
	return Route{}, ErrNoDefaultRoute
}

func mtu(root, iface string) (int, error) {
	data, err := os.ReadFile(filepath.Join("/", root, "/sys/class/net", iface, "mtu"))
	if err != nil {
		return 0, fmt.Errorf("reading the MTU of %s: %w", iface, err)
	}
	return strconv.Atoi(strings.TrimSpace(string(data)))
}

// table reads a file of columns.
func table(root, path string) ([][]string, error) {
	data, err := os.ReadFile(filepath.Join("/", root, path))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	var rows [][]string
	for line := range strings.Lines(string(data)) {
		rows = append(rows, strings.Fields(line))
	}
	return rows, nil
}

// hexAddr reads an IPv4 address as the kernel prints it: hexadecimal, in the
// byte order of the machine.
func hexAddr(s string) (netip.Addr, error) {
	n, err := strconv.ParseUint(s, 16, 32)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("reading address %q: %w", s, err)
	}
	var raw [4]byte
	binary.NativeEndian.PutUint32(raw[:], uint32(n))
	return netip.AddrFrom4(raw), nil
}
