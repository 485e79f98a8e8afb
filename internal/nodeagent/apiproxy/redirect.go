package apiproxy

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kluster-project/kluster/internal/nodeagent/nft"
)

// Table is the nftables table of the redirection.
const Table = "kluster-wait"

// mark is on the proxy's own connections, so that they are not sent back to it:
// the letters "kl". kube-proxy marks with bits 14 and 15 of packets, which are
// not those of a socket that talks to the node itself.
const mark = 0x6b6c

// dstnat is the priority of that name, which nft knows for other hooks only.
const dstnat = -100

// Redirect makes the node's own connections to the API server on it, which
// kubelet, controller manager and scheduler address directly, go to the proxy's
// port, where they are held as long as no API server is ready. The function that
// it returns ends that; what is connected by then stays so.
func Redirect(ctx context.Context, own netip.AddrPort, port int) (func(context.Context) error, error) {
	if err := nft.Apply(ctx, redirectRules(own, port)); err != nil {
		return nil, fmt.Errorf("holding connections to the API server: %w", err)
	}
	return func(ctx context.Context) error {
		if err := nft.Apply(ctx, dropRules); err != nil {
			return fmt.Errorf("letting connections to the API server through: %w", err)
		}
		return nil
	}, nil
}

// dropRules works whether the table is there or not.
const dropRules = "table inet " + Table + "\ndelete table inet " + Table + "\n"

func redirectRules(own netip.AddrPort, port int) string {
	family := "ip"
	if own.Addr().Is6() {
		family = "ip6"
	}
	return dropRules + fmt.Sprintf(`table inet %s {
	chain output {
		type nat hook output priority %d; policy accept;
		meta mark != %#x %s daddr %s tcp dport %d redirect to :%d
	}
}
`, Table, dstnat, mark, family, own.Addr(), own.Port(), port)
}

// Dialer connects to API servers past a redirection.
func Dialer(timeout time.Duration) *net.Dialer {
	return &net.Dialer{Timeout: timeout, Control: markSocket}
}

// markSocket is a net.Dialer's Control. Without the capability to mark, as in
// tests, there is no redirection either.
func markSocket(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, mark)
	})
}
