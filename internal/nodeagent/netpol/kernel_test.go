package netpol

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/kluster-project/kluster/internal/nodeagent/nft"
)

// inPod runs f with a pod's network; sockets that f makes stay there.
func inPod[T any](ns netns.NsHandle, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this
		var r result
		if r.err = netns.Set(ns); r.err == nil {
			r.value, r.err = f()
		}
		done <- r
	}()
	r := <-done
	return r.value, r.err
}

// join gives the test's network, which is the node, a pod with addresses, by a
// route to it alone, as the plugin ptp does.
func join(t *testing.T, name string, addrs ...string) netns.NsHandle {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	node, err := netns.Get()
	must(err)
	defer node.Close()
	ns, err := netns.New()
	must(err)
	t.Cleanup(func() { ns.Close() })
	must(netns.Set(node))
	must(netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: "eth0", PeerNamespace: netlink.NsFd(ns)}))
	pod, err := netlink.NewHandleAt(ns)
	must(err)
	defer pod.Close()
	near, err := netlink.LinkByName(name)
	must(err)
	far, err := pod.LinkByName("eth0")
	must(err)
	must(netlink.LinkSetUp(near))
	must(pod.LinkSetUp(far))
	lo, err := pod.LinkByName("lo")
	must(err)
	must(pod.LinkSetUp(lo))
	for _, text := range addrs {
		addr := netip.MustParseAddr(text)
		whole := func(ip net.IP) *net.IPNet {
			return &net.IPNet{IP: ip, Mask: net.CIDRMask(addr.BitLen(), addr.BitLen())}
		}
		gateway := net.ParseIP("169.254.1.1").To4()
		if addr.Is6() {
			gateway = net.ParseIP("fd00:ffff::1")
		}
		must(netlink.AddrAdd(near, &netlink.Addr{IPNet: whole(gateway), Flags: unix.IFA_F_NODAD}))
		must(pod.AddrAdd(far, &netlink.Addr{IPNet: whole(addr.AsSlice()), Flags: unix.IFA_F_NODAD}))
		must(netlink.RouteAdd(&netlink.Route{LinkIndex: near.Attrs().Index, Dst: whole(addr.AsSlice()), Scope: netlink.SCOPE_LINK}))
		must(pod.RouteAdd(&netlink.Route{LinkIndex: far.Attrs().Index, Dst: whole(gateway), Scope: netlink.SCOPE_LINK}))
		must(pod.RouteAdd(&netlink.Route{LinkIndex: far.Attrs().Index, Gw: gateway}))
	}
	return ns
}

// echo serves in a pod what comes to its ports, over TCP and UDP.
func echo(t *testing.T, ns netns.NsHandle, port int) {
	t.Helper()
	addr := fmt.Sprintf("[::]:%d", port)
	listener, err := inPod(ns, func() (net.Listener, error) { return new(net.ListenConfig).Listen(context.Background(), "tcp", addr) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { defer conn.Close(); _, _ = io.Copy(conn, conn) }()
		}
	}()
	packets, err := inPod(ns, func() (net.PacketConn, error) {
		return new(net.ListenConfig).ListenPacket(context.Background(), "udp", addr)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { packets.Close() })
	go func() {
		text := make([]byte, 16)
		for {
			n, from, err := packets.ReadFrom(text)
			if err != nil {
				return
			}
			_, _ = packets.WriteTo(text[:n], from)
		}
	}()
}

// heard is how long an answer that shall not come is waited for. Nothing is on the
// way but the kernel.
const heard = 300 * time.Millisecond

// say says whether what is said comes back.
func say(conn net.Conn, within time.Duration) bool {
	if err := conn.SetDeadline(time.Now().Add(within)); err != nil {
		return false
	}
	if _, err := conn.Write([]byte("hello")); err != nil {
		return false
	}
	_, err := io.ReadFull(conn, make([]byte, 5))
	return err == nil
}

// TestPackets sends real ones, of both families.
func TestPackets(t *testing.T) {
	inNamespace(t)
	for _, path := range []string{"/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"} {
		if err := os.WriteFile(path, []byte("1"), 0o600); err != nil {
			t.Skipf("cannot forward packets here: %v", err)
		}
	}
	node, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	web, db := join(t, "web", places["x/web"], places["x/web6"]), join(t, "db", places["x/db"], places["x/db6"])
	for _, port := range []int{80, 81} {
		echo(t, db, port)
	}
	hold := func(text string) {
		t.Helper()
		w := town()
		w.Policies = policies(t, text)
		if err := nft.Apply(t.Context(), Render(Compile(w)).Replace()); err != nil {
			t.Fatal(err)
		}
	}
	dial := func(ns netns.NsHandle, within time.Duration, network, host string, port int) net.Conn {
		conn, err := inPod(ns, func() (net.Conn, error) {
			return (&net.Dialer{Timeout: within}).DialContext(context.Background(), network, net.JoinHostPort(places[host], fmt.Sprint(port)))
		})
		if err != nil {
			return nil
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	const allow = `{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 80}, {protocol: UDP, port: 81}]}]}`
	const deny = `podSelector: {}`
	for _, to := range []string{"x/db", "x/db6"} {
		for _, c := range []struct {
			policies, network string
			from              netns.NsHandle
			port              int
			want              bool
		}{
			{allow, "tcp", web, 80, true},
			{allow, "tcp", web, 81, false},
			{allow, "udp", web, 81, true},
			{allow, "udp", web, 80, false},
			{allow, "tcp", node, 81, true},
			{deny, "tcp", web, 80, false},
			{deny, "udp", web, 81, false},
			{deny, "tcp", node, 80, true},
			{`podSelector: {matchLabels: {app: nobody}}`, "tcp", web, 81, true},
			{`{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress]}`, "tcp", web, 80, false},
			{`{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}, {ipBlock: {cidr: "::/0"}}]}]}`, "tcp", web, 81, true},
			{`{podSelector: {}, ingress: [{ports: [{port: web}]}]}`, "tcp", web, 80, true},
			{`{podSelector: {}, ingress: [{ports: [{port: web}]}]}`, "tcp", web, 81, false},
		} {
			hold(c.policies)
			within := heard
			if c.want {
				within = patience
			}
			conn := dial(c.from, within, c.network, to, c.port)
			if got := conn != nil && say(conn, within); got != c.want {
				t.Errorf("%s: %s to port %d of %s: %t", c.policies, c.network, c.port, to, got)
			}
		}
		// A connection that is there ends in the middle, and goes on.
		hold(allow)
		conn := dial(web, patience, "tcp", to, 80)
		if conn == nil || !say(conn, patience) {
			t.Fatalf("no connection to %s", to)
		}
		if hold(deny); say(conn, heard) {
			t.Errorf("%s: goes on without leave", to)
		}
		// What was said meanwhile is sent again, after a second or so.
		if hold(allow); !say(conn, patience) {
			t.Errorf("%s: does not go on", to)
		}
	}
}
