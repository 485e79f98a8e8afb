package hostnet

import (
	"errors"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// stateListen is TCP_LISTEN as /proc/net/tcp writes it.
const stateListen = "0A"

// Ports are the ports a server has on one address; 0 is none.
type Ports struct{ UDP, TCP uint16 }

// PortsOn finds the ports bound on an IPv4 address, below root. Of several it
// takes the first.
func PortsOn(root string, addr netip.Addr) (Ports, error) {
	udp, err := portOn(root, "/proc/net/udp", addr, "")
	if err != nil {
		return Ports{}, err
	}
	tcp, err := portOn(root, "/proc/net/tcp", addr, stateListen)
	return Ports{UDP: udp, TCP: tcp}, err
}

func portOn(root, path string, addr netip.Addr, state string) (uint16, error) {
	rows, err := table(root, path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	for _, f := range rows {
		// sl local_address rem_address st
		if len(f) < 4 || state != "" && f[3] != state {
			continue
		}
		host, port, ok := strings.Cut(f[1], ":")
		if !ok {
			continue
		}
		if local, err := hexAddr(host); err != nil || local != addr {
			continue
		}
		n, err := strconv.ParseUint(port, 16, 16)
		return uint16(n), err
	}
	return 0, nil
}
