package boot

import (
	"encoding/json"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/nodeagent/hostnet"
)

// routed is a machine behind 172.30.0.1 with the engine's DNS server.
var routed = map[string]string{
	"/proc/net/route":         "head\neth0\t00000000\t01001EAC\t0003\t0\t0\t0\t00000000\n",
	"/sys/class/net/eth0/mtu": "1450\n",
	"/proc/net/udp":           "head\n 1: 0B00007F:A4EC 00000000:0000 07\n",
	"/proc/net/tcp":           "head\n 1: 0B00007F:986F 00000000:0000 0A\n",
}

func TestDNS(t *testing.T) {
	m, kernel := newMachine(t, routed)
	mustStep(t, m, "dns")
	wantCalls(t, kernel, "iptables-save -t nat", `iptables-restore --noflush <<< *nat
:KLUSTER_DNS - [0:0]
-A KLUSTER_DNS -d 172.30.0.1/32 -p udp -m udp --dport 53 -j DNAT --to-destination 127.0.0.11:42220
-A KLUSTER_DNS -d 172.30.0.1/32 -p tcp -m tcp --dport 53 -j DNAT --to-destination 127.0.0.11:39023
-A PREROUTING -j KLUSTER_DNS
-A OUTPUT -j KLUSTER_DNS
COMMIT
`)
	if got := m.text(t, resolvConf); got != "nameserver 172.30.0.1\noptions ndots:0\n" {
		t.Errorf("resolv.conf is %q", got)
	}
}

func TestDNSOfOtherEngines(t *testing.T) {
	m, kernel := newMachine(t, map[string]string{resolvConf: "nameserver 10.0.0.1\n"})
	mustStep(t, m, "dns")
	wantCalls(t, kernel)
	if got := m.text(t, resolvConf); got != "nameserver 10.0.0.1\n" {
		t.Errorf("resolv.conf is %q", got)
	}
}

func TestDNSWithoutGateway(t *testing.T) {
	files := with(routed, "/proc/net/route", "head\n")
	m, _ := newMachine(t, files)
	if err := step(t, m, "dns"); err == nil {
		t.Error("nowhere to put the server, and no error")
	}
	m, kernel := newMachine(t, files)
	m.Node.Addrs = []netip.Addr{netip.MustParseAddr("fd00::2"), netip.MustParseAddr("172.30.0.2")}
	mustStep(t, m, "dns")
	if !strings.Contains(strings.Join(kernel.calls, " "), "-d 172.30.0.2/32") {
		t.Errorf("calls %q", kernel.calls)
	}
}

func TestDNSRulesAreAddedOnce(t *testing.T) {
	server := netip.MustParseAddr("172.30.0.1")
	before := "*nat\n-A PREROUTING -j KLUSTER_DNS\n-A OUTPUT -d 127.0.0.11/32 -j DOCKER_OUTPUT\n-A OUTPUT -j KLUSTER_DNS\nCOMMIT\n"
	got := dnsRules(before, server, hostnet.Ports{UDP: 7})
	want := "*nat\n:KLUSTER_DNS - [0:0]\n-A KLUSTER_DNS -d 172.30.0.1/32 -p udp -m udp --dport 53 -j DNAT --to-destination 127.0.0.11:7\nCOMMIT\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestResolvConf(t *testing.T) {
	server := netip.MustParseAddr("172.30.0.1")
	const text = "# comment\nsearch corp.example\nnameserver 127.0.0.11\nnameserver 8.8.8.8\noptions ndots:0\n"
	const rest = "nameserver 172.30.0.1\nnameserver 8.8.8.8\noptions ndots:0\n"
	for _, tc := range []struct {
		name   string
		search []string
		keep   bool
		want   string
	}{
		{"search kept", nil, true, "# comment\nsearch corp.example\n" + rest},
		{"search emptied", []string{}, false, "# comment\n" + rest},
		{"search replaced", []string{"a.test", "b.test"}, false, "search a.test b.test\n# comment\n" + rest},
	} {
		got := rewriteResolvConf(text, server, tc.search, tc.keep)
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s: %s", tc.name, diff)
		}
		if again := rewriteResolvConf(got, server, tc.search, tc.keep); again != got {
			t.Errorf("%s: changes again to %q", tc.name, again)
		}
	}
}

func TestIptables(t *testing.T) {
	for _, tc := range []struct {
		name, nft, legacy, tables, want string
	}{
		{"nothing anywhere", "", "", "", "nft"},
		{"the engine uses nft", "*nat\n-A OUTPUT -j X\nCOMMIT\n", "", "nat\n", "nft"},
		{"the engine uses legacy", "", "*nat\n-A OUTPUT -j X\n-A X -j Y\n", "nat\n", "legacy"},
		{"legacy is not even loaded", "", "-A never asked\n", "", "nft"},
		{"as many in both", "-A x\n", "-A x\n", "nat\n", "nft"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m, kernel := newMachine(t, map[string]string{"/proc/net/ip_tables_names": tc.tables})
			kernel.outputs["iptables-nft-save"], kernel.outputs["iptables-legacy-save"] = tc.nft, tc.legacy
			// The image's choice is nft for one of the two.
			if err := os.Symlink("/usr/sbin/iptables-nft", m.path("/etc/alternatives/iptables")); err != nil {
				t.Fatal(err)
			}
			mustStep(t, m, "iptables-alternative")
			var set []string
			for _, call := range kernel.calls {
				if strings.HasPrefix(call, "update-alternatives") {
					set = append(set, call)
				}
			}
			want := []string{"update-alternatives --set ip6tables /usr/sbin/ip6tables-" + tc.want}
			if tc.want == "legacy" {
				want = append([]string{"update-alternatives --set iptables /usr/sbin/iptables-legacy"}, want...)
			}
			if diff := cmp.Diff(want, set); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestKernelParameters(t *testing.T) {
	files := map[string]string{}
	for _, p := range kernelParameters {
		files["/proc/sys/"+p.path] = "5\n"
	}
	delete(files, "/proc/sys/net/ipv6/conf/default/forwarding") // a kernel without it
	m, _ := newMachine(t, files)
	mustStep(t, m, "kernel-parameters")
	if got := m.text(t, "/proc/sys/net/ipv4/ip_forward"); got != "1\n" {
		t.Errorf("ip_forward is %q", got)
	}
	if got := m.text(t, "/proc/sys/net/ipv6/conf/all/forwarding"); got != "5\n" {
		t.Errorf("IPv6 was touched on an IPv4 node: %q", got)
	}
	m.Node.Addrs = []netip.Addr{netip.MustParseAddr("fd00::2")}
	mustStep(t, m, "kernel-parameters")
	if got := m.text(t, "/proc/sys/net/ipv6/conf/all/disable_ipv6"); got != "0\n" {
		t.Errorf("IPv6 stays off: %q", got)
	}
}

func TestAddresses(t *testing.T) {
	m, kernel := newMachine(t, routed)
	m.Node.Addrs = []netip.Addr{netip.MustParseAddr("127.0.0.1")} // on every machine
	mustStep(t, m, "addresses")
	wantCalls(t, kernel)
	put(t, m.Root, "/proc/net/route", "head\nlo\t00000000\t01001EAC\t0003\t0\t0\t0\t00000000\n")
	put(t, m.Root, "/sys/class/net/lo/mtu", "65536\n")
	m.Node.Addrs = []netip.Addr{netip.MustParseAddr("192.0.2.77")}
	mustStep(t, m, "addresses")
	wantCalls(t, kernel, "ip address replace 192.0.2.77/8 dev lo")
}

func TestProxy(t *testing.T) {
	for _, tc := range []struct {
		name string
		env  map[string]string
		want string
	}{
		{"none", nil, ""},
		{
			"upper case, with what must be quoted",
			map[string]string{"HTTP_PROXY": `http://u:p%40"\@h:1`},
			"[Manager]\nDefaultEnvironment=" + `"HTTP_PROXY=http://u:p%%40\"\\@h:1" "http_proxy=http://u:p%%40\"\\@h:1"` + "\n",
		},
		{
			"lower case alone",
			map[string]string{"https_proxy": "h", "no_proxy": "a,b"},
			"[Manager]\nDefaultEnvironment=" + `"HTTPS_PROXY=h" "https_proxy=h" "NO_PROXY=a,b" "no_proxy=a,b"` + "\n",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m, _ := newMachine(t, map[string]string{proxyFile: "of an earlier start"})
			m.Getenv = func(name string) string { return tc.env[name] }
			mustStep(t, m, "proxy-environment")
			if tc.want == "" {
				if m.exists(proxyFile) {
					t.Error("the file of an earlier start is still there")
				}
				return
			}
			if diff := cmp.Diff(tc.want, m.text(t, proxyFile)); diff != "" {
				t.Error(diff)
			}
			info, err := os.Stat(m.path(proxyFile))
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("mode %v, %v: it may hold credentials", info.Mode(), err)
			}
		})
	}
}

func TestPodNetworkConfiguration(t *testing.T) {
	m, _ := newMachine(t, routed)
	mustStep(t, m, "pod-network-configuration")
	var got conflist
	if err := json.Unmarshal([]byte(m.text(t, conflistPath)), &got); err != nil {
		t.Fatal(err)
	}
	want := conflist{CNIVersion: "1.0.0", Name: "kluster", Plugins: []plugin{
		{Type: "ptp", MTU: 1450, IPAM: &ipam{Type: "kluster-ipam"}},
		{Type: "portmap", Capabilities: map[string]bool{"portMappings": true}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	m.Node.CNI = "none"
	mustStep(t, m, "pod-network-configuration")
	if m.exists(conflistPath) {
		t.Error("the default pod network is configured beside another one")
	}
}

func TestRuntimeConfiguration(t *testing.T) {
	const path = "/etc/containerd/config.toml"
	m, kernel := newMachine(t, nil)
	m.Node.PauseImage = "registry.example/pause:1"
	m.Node.MissingCaps = []string{"CAP_SYS_RESOURCE"}
	m.Node.RuntimePatches = []string{"root = '/patched'"}
	mustStep(t, m, "runtime-configuration")
	for _, want := range []string{
		"registry.example/pause:1", "restrict_oom_score_adj = true", "root = '/patched'", "snapshotter = 'overlayfs'", "SystemdCgroup = false",
	} {
		if text := m.text(t, path); !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	kernel.broken = "overlay"
	mustStep(t, m, "runtime-configuration")
	if text := m.text(t, path); !strings.Contains(text, "snapshotter = 'native'") {
		t.Errorf("overlayfs cannot be mounted, yet:\n%s", text)
	}
	put(t, m.Root, fuseOverlay, "")
	put(t, m.Root, "/dev/fuse", "")
	mustStep(t, m, "runtime-configuration")
	if text := m.text(t, path); !strings.Contains(text, "snapshotter = 'fuse-overlayfs'") {
		t.Errorf("there is fuse-overlayfs, yet:\n%s", text)
	}
	m.Node.OCIRuntime = "crun"
	if err := step(t, m, "runtime-configuration"); err == nil {
		t.Error("took an OCI runtime that the image has not")
	}
	m.Node.Runtime = "rkt"
	if err := step(t, m, "runtime-configuration"); err == nil {
		t.Error("took an unknown runtime")
	}
}

func TestDebiansOverlayInUserNamespace(t *testing.T) {
	m, kernel := newMachine(t, map[string]string{"/proc/self/uid_map": "0 1000 1", debianOverlay: "Y"})
	if got := m.snapshotter("/var/lib/containerd"); got != "native" {
		t.Errorf("snapshotter %s", got)
	}
	wantCalls(t, kernel) // not even tried
}
