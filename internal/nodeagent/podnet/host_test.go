package podnet

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// inNamespace gives the test a network of its own, with an interface on
// 172.30.0.2/24; it skips where that may not be made.
func inNamespace(t *testing.T) {
	t.Helper()
	runtime.LockOSThread() // never unlocked: the thread ends with the test
	ns, err := netns.New()
	if err != nil {
		t.Skipf("cannot make a network namespace: %v", err)
	}
	t.Cleanup(func() { ns.Close() })
	link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "test0"}, PeerName: "test1"}
	if err := netlink.LinkAdd(link); err != nil {
		t.Skipf("cannot make an interface: %v", err)
	}
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(172, 30, 0, 2), Mask: net.CIDRMask(24, 32)}}
	if err := netlink.AddrAdd(link, addr); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"test0", "test1"} {
		end, err := netlink.LinkByName(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.LinkSetUp(end); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRoute(t *testing.T) {
	inNamespace(t)
	foreign := toNetlink(Route{netip.MustParsePrefix("192.168.7.0/24"), netip.MustParseAddr("172.30.0.9")})
	foreign.Protocol = 4
	if err := netlink.RouteAdd(foreign); err != nil {
		t.Fatal(err)
	}
	r := func(dst, via string) Route { return Route{netip.MustParsePrefix(dst), netip.MustParseAddr(via)} }
	for _, want := range [][]Route{
		{r("10.244.1.0/24", "172.30.0.3"), r("10.244.2.0/24", "172.30.0.4")},
		{r("10.244.1.0/24", "172.30.0.3"), r("10.244.2.0/24", "172.30.0.4")},
		{r("10.244.1.0/24", "172.30.0.5")},
		nil,
	} {
		if err := (LinuxHost{}).Route(want); err != nil {
			t.Fatal(err)
		}
		all, err := netlink.RouteList(nil, netlink.FAMILY_V4)
		if err != nil {
			t.Fatal(err)
		}
		var got []Route
		for _, have := range all {
			if have.Protocol != 2 { // the kernel's own
				got = append(got, fromNetlink(have))
			}
		}
		if diff := cmp.Diff(append(want, fromNetlink(*foreign)), got, comparable); diff != "" {
			t.Error(diff)
		}
	}
}

// nft itself must understand the rules, twice over.
func TestFilter(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("no nft here")
	}
	inNamespace(t)
	rules := Rules(prefixes("10.244.1.0/24", "fd00:10:244:1::/64"), prefixes("10.244.0.0/16", "fd00:10:244::/56"),
		prefixes("10.96.0.0/16", "fd00:10:96::/112"), netip.MustParseAddrPort("172.30.0.2:6443"))
	for range 2 {
		if err := (LinuxHost{}).Filter(t.Context(), rules); err != nil {
			t.Fatal(err)
		}
	}
	if err := (LinuxHost{}).Filter(t.Context(), "nonsense"); err == nil || !strings.Contains(err.Error(), "syntax") {
		t.Errorf("nft's words are lost: %v", err)
	}
}

func TestPublish(t *testing.T) {
	file := filepath.Join(t.TempDir(), "run", "ranges.json")
	host := LinuxHost{NetworkFile: file, MTU: 1450}
	var before os.FileInfo
	for i := range 2 {
		if err := host.Publish(prefixes("10.244.1.0/24")); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if i == 1 && !os.SameFile(before, info) {
			t.Error("rewritten without a change")
		}
		before = info
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != `{"ranges":["10.244.1.0/24"],"mtu":1450}` {
		t.Errorf("got %s, %v", text, err)
	}
}
