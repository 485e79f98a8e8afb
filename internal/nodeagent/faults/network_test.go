package faults

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/kluster-project/kluster/internal/fault"
)

// The network of these tests: a node, whose network the test's thread has, and a peer.
const (
	nearAddr = "10.99.7.1"
	farAddr  = "10.99.7.2"
)

// between is the test's node with a network to a peer, whose handle it gives.
func betweenTwo(t *testing.T) (m *Machine, far netns.NsHandle) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("network namespaces need root")
	}
	for _, program := range []string{"nft", "tc", "iptables-restore"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	runtime.LockOSThread() // never unlocked: the thread ends with the test
	far, err := netns.New()
	if err != nil {
		t.Skip("no network namespaces: ", err)
	}
	near, err := netns.New()
	must(t, err)
	t.Cleanup(func() { near.Close(); far.Close() })
	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "eth0", PeerNamespace: netlink.NsFd(far)}))
	for _, side := range []struct {
		ns   netns.NsHandle
		addr string
	}{{near, nearAddr}, {far, farAddr}} {
		h, err := netlink.NewHandleAt(side.ns)
		must(t, err)
		defer h.Close()
		for _, name := range []string{"eth0", "lo"} {
			link, err := h.LinkByName(name)
			must(t, err)
			must(t, h.LinkSetUp(link))
			if name == "eth0" {
				addr, err := netlink.ParseAddr(side.addr + "/24")
				must(t, err)
				must(t, h.AddrAdd(link, addr))
			}
		}
	}
	return &Machine{Output: commandOutput, Ready: func() {}, Log: slog.New(slog.DiscardHandler)}, far
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func commandOutput(ctx context.Context, stdin, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out), err
}

// order is one of a fault between the two.
func networkOrder(t *testing.T, kind fault.Kind, params map[string]string) fault.Order {
	t.Helper()
	spec, err := (&fault.Spec{Kind: kind, Nodes: []string{"near"}, Params: params}).Complete()
	must(t, err)
	o := fault.Order{Active: fault.Active{ID: "abcdef12", Kind: kind, Nodes: spec.Nodes, Params: spec.Params}, Node: "near"}
	in, out := spec.Params[fault.ParamDirection] != fault.Out, spec.Params[fault.ParamDirection] != fault.In
	o.Peers = []fault.Peer{{Name: "far", Addrs: []netip.Addr{netip.MustParseAddr(farAddr)}, In: in, Out: out}}
	return o
}

// holding does a fault, then f, and sees that nothing of it is left.
func holding(t *testing.T, m *Machine, o fault.Order, f func()) {
	t.Helper()
	k, err := kindOf(o)
	must(t, err)
	before := networkState(t)
	if err := k.check(t.Context(), m, o); err != nil {
		t.Skip(err)
	}
	if now := networkState(t); now != before {
		t.Fatalf("a check has changed something:\n%s", now)
	}
	must(t, k.apply(t.Context(), m, o))
	ended := make(chan error, 1)
	if k.work != nil {
		ready := make(chan struct{})
		m.Ready = func() { close(ready) }
		ctx, cancel := context.WithCancel(t.Context())
		here, err := netns.Get()
		must(t, err)
		go func() {
			runtime.LockOSThread()
			if err := netns.Set(here); err != nil {
				ended <- err
				return
			}
			ended <- k.work(ctx, m, o)
		}()
		select {
		case <-ready:
		case err := <-ended:
			t.Fatal(err)
		}
		defer func() { cancel(); must(t, <-ended) }()
	}
	f()
	must(t, k.undo(t.Context(), m, o))
	must(t, k.undo(t.Context(), m, o)) // what was undone already
	if now := networkState(t); now != before {
		t.Errorf("something is left:\n%s", now)
	}
}

// networkState is all that faults of the network could leave.
func networkState(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	links, err := netlink.LinkList()
	must(t, err)
	for _, l := range links {
		fmt.Fprintln(&all, l.Attrs().Name)
	}
	for _, words := range []string{"nft list tables", "iptables -t raw -S", "tc qdisc show"} {
		args := strings.Fields(words)
		out, err := commandOutput(t.Context(), "", args[0], args[1:]...)
		must(t, err)
		for line := range strings.Lines(out) {
			// Made by iptables itself at its first look, with nothing in them.
			if !strings.HasPrefix(line, "table ip") || strings.Contains(line, "kluster") {
				all.WriteString(line)
			}
		}
	}
	return all.String()
}

// echoes answers what comes to the peer's port over UDP, and takes and gives as much as
// it can over TCP: it sends when the first byte is an 'r'.
func echoes(t *testing.T, far netns.NsHandle) {
	t.Helper()
	type servers struct {
		udp net.PacketConn
		tcp net.Listener
	}
	ready := make(chan servers)
	go func() {
		runtime.LockOSThread()
		var s servers
		err := netns.Set(far)
		if err == nil {
			s.udp, err = new(net.ListenConfig).ListenPacket(context.Background(), "udp4", farAddr+":7")
		}
		if err == nil {
			s.tcp, err = new(net.ListenConfig).Listen(context.Background(), "tcp4", farAddr+":7")
		}
		if err != nil {
			close(ready)
			return
		}
		ready <- s
	}()
	s, ok := <-ready
	if !ok {
		t.Fatal("the peer does not listen")
	}
	t.Cleanup(func() { s.udp.Close(); s.tcp.Close() })
	go func() {
		buf := make([]byte, 100)
		for {
			n, from, err := s.udp.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = s.udp.WriteTo(buf[:n], from)
		}
	}()
	go func() {
		for {
			conn, err := s.tcp.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				first := make([]byte, 1)
				if _, err := io.ReadFull(conn, first); err != nil {
					return
				}
				if first[0] == 'r' {
					data := make([]byte, 1<<16)
					for err == nil {
						_, err = conn.Write(data)
					}
				}
				_, _ = io.Copy(io.Discard, conn)
			}()
		}
	}()
}

// pings sends n packets, each after the answer to the one before, and gives the times
// that answers took, sorted.
func pings(t *testing.T, n int, patience time.Duration) []time.Duration {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "udp4", farAddr+":7")
	must(t, err)
	defer conn.Close()
	var took []time.Duration
	buf := make([]byte, 100)
	for i := range n {
		began := time.Now()
		text := fmt.Sprint(i)
		_, err := conn.Write([]byte(text))
		must(t, err) // what is lost on its way out is no error
		must(t, conn.SetReadDeadline(began.Add(patience)))
		for {
			got, err := conn.Read(buf)
			if err != nil {
				break
			}
			if string(buf[:got]) == text {
				took = append(took, time.Since(began))
				break
			}
		}
	}
	slices.Sort(took)
	return took
}

func TestLatency(t *testing.T) {
	m, far := betweenTwo(t)
	echoes(t, far)
	o := networkOrder(t, fault.Latency, map[string]string{fault.ParamDelay: "50ms", fault.ParamJitter: "0s"})
	holding(t, m, o, func() {
		took := pings(t, 20, time.Second)
		if len(took) != 20 || took[0] < 50*time.Millisecond {
			t.Fatalf("round trips of %v", took)
		}
		t.Logf("round trips: %v to %v, median %v", took[0], took[19], took[10])
	})
	if took := pings(t, 3, time.Second); len(took) != 3 || took[0] > 40*time.Millisecond {
		t.Errorf("afterwards: %v", took)
	}
}

// TestLatencyWithoutItsProcess: while nobody delays, packets pass.
func TestLatencyWithoutItsProcess(t *testing.T) {
	m, far := betweenTwo(t)
	echoes(t, far)
	o := networkOrder(t, fault.Latency, nil)
	if err := checkLatency(t.Context(), m, o); err != nil {
		t.Skip(err)
	}
	must(t, lateBy(t.Context(), m, o))
	if took := pings(t, 5, time.Second); len(took) != 5 {
		t.Errorf("%d of 5 came back", len(took))
	}
	must(t, onTime(t.Context(), m, o))
}

func TestLoss(t *testing.T) {
	for direction, want := range map[string]int{fault.Both: 100, fault.In: 200, fault.Out: 200} {
		t.Run(direction, func(t *testing.T) {
			m, far := betweenTwo(t)
			echoes(t, far)
			o := networkOrder(t, fault.Loss, map[string]string{fault.ParamPercent: "50", fault.ParamDirection: direction})
			holding(t, m, o, func() {
				got := len(pings(t, 400, 5*time.Millisecond))
				if got < want-60 || got > want+60 {
					t.Errorf("%d of 400 came back, want about %d", got, want)
				}
			})
			if got := len(pings(t, 5, time.Second)); got != 5 {
				t.Errorf("afterwards: %d of 5", got)
			}
		})
	}
}

func TestBandwidth(t *testing.T) {
	m, far := betweenTwo(t)
	echoes(t, far)
	o := networkOrder(t, fault.Bandwidth, map[string]string{fault.ParamRate: "10mbit"})
	holding(t, m, o, func() {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp4", farAddr+":7")
		must(t, err)
		defer conn.Close()
		_, err = conn.Write([]byte("r"))
		must(t, err)
		// After the first second, in which the kernel's limit is generous.
		read := func(d time.Duration) int64 {
			must(t, conn.SetReadDeadline(time.Now().Add(d)))
			n, _ := io.Copy(io.Discard, conn)
			return n
		}
		read(2 * time.Second)
		if rate := read(2*time.Second) * 8 / 2; rate > 12e6 || rate < 1e6 {
			t.Errorf("%d bit/s arrive", rate)
		} else {
			t.Logf("%d bit/s arrive", rate)
		}
	})
	holding(t, m, o, func() {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp4", farAddr+":7")
		must(t, err)
		defer conn.Close()
		data := make([]byte, 1<<16)
		began, sent := time.Now(), 0
		for time.Since(began) < 4*time.Second {
			must(t, conn.SetWriteDeadline(began.Add(4*time.Second)))
			n, err := conn.Write(data)
			if sent += n; err != nil {
				break
			}
		}
		// Some MiB lie in the sender's own buffer.
		if unsent, err := unsentBytes(conn); err == nil {
			sent -= unsent
		}
		if rate := int64(sent) * 8 / 4; rate > 13e6 || rate < 1e6 {
			t.Errorf("%d bit/s leave", rate)
		} else {
			t.Logf("%d bit/s leave", rate)
		}
	})
}

// unsentBytes is what a connection has not sent, or not heard of.
func unsentBytes(conn net.Conn) (n int, err error) {
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	ctlErr := raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
	if ctlErr != nil {
		err = ctlErr
	}
	return n, err
}

func TestWithQueue(t *testing.T) {
	text := "qdisc noqueue 0: dev lo root refcnt 2\nqdisc htb 1f: dev eth0 root refcnt 5 r2q 10\nqdisc bfifo 8001: dev eth0 parent 1f:1 limit 1b\nqdisc htb 1: dev eth1 root\n"
	if got := withQueue(text); !slices.Equal(got, []string{"eth0"}) {
		t.Errorf("got %v", got)
	}
}
