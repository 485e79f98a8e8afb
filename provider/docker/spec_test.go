package docker

import (
	"net/netip"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/provider"
)

func TestSystemRequest(t *testing.T) {
	spec := provider.NodeSpec{
		Name: "a", Image: "i", System: true, Restart: true, Volumes: []string{"/var/lib/etcd"},
		Labels: map[string]string{"l": "v"}, Network: "n", CPUs: 1.5, Memory: 1 << 30,
		Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("fd00::2")},
		Hosts: map[string]netip.Addr{"api": netip.MustParseAddr("127.0.0.1")},
		Env:   map[string]string{"B": "2", "A": "1"},
		Ports: []provider.Port{{NodePort: 6443, HostPort: 40000}},
	}
	req, err := newRequest(spec)
	if err != nil {
		t.Fatal(err)
	}
	req.system(spec, facts{
		dropCaps: []string{"CAP_SYS_RESOURCE"},
		exists:   func(path string) bool { return path != "/dev/fuse" },
	})
	h := req.host
	type view struct {
		CapAdd, CapDrop, Security, Binds, Env, Hosts, Rules []string
		Devices                                             []container.DeviceMapping
		Tmpfs, Sysctls                                      map[string]string
		Mounts                                              []mount.Mount
		Endpoint                                            network.EndpointIPAMConfig
		NanoCPUs, Memory, MemorySwap                        int64
		Restart                                             container.RestartPolicyMode
		Cgroupns                                            container.CgroupnsMode
		Privileged, Unmasked, Init                          bool
		HostIP                                              string
	}
	want := view{
		CapAdd: []string{"ALL"}, CapDrop: []string{"CAP_SYS_RESOURCE"},
		Security: []string{"seccomp=unconfined", "apparmor=unconfined", "label=disable"},
		Binds:    []string{"/lib/modules:/lib/modules:ro"}, Env: []string{"A=1", "B=2", "container=docker"},
		Hosts: []string{"api:127.0.0.1"}, Rules: []string{"a *:* rwm"},
		Devices: []container.DeviceMapping{{PathOnHost: "/dev/kmsg", PathInContainer: "/dev/kmsg", CgroupPermissions: "rwm"}},
		Tmpfs:   map[string]string{"/run": "", "/tmp": ""},
		Sysctls: map[string]string{"net.ipv6.conf.all.disable_ipv6": "0", "net.ipv6.conf.all.forwarding": "1"},
		Mounts: []mount.Mount{{Type: mount.TypeVolume, Target: "/var/lib/etcd", VolumeOptions: &mount.VolumeOptions{
			NoCopy: true, Labels: map[string]string{"l": "v"},
		}}},
		Endpoint: network.EndpointIPAMConfig{IPv4Address: "10.0.0.2", IPv6Address: "fd00::2"},
		NanoCPUs: 1_500_000_000, Memory: 1 << 30, MemorySwap: 1 << 30,
		Restart: container.RestartPolicyAlways, Cgroupns: container.CgroupnsModePrivate,
		Unmasked: true, HostIP: "127.0.0.1",
	}
	got := view{
		CapAdd: h.CapAdd, CapDrop: h.CapDrop, Security: h.SecurityOpt, Binds: h.Binds, Env: req.config.Env,
		Hosts: h.ExtraHosts, Rules: h.DeviceCgroupRules, Devices: h.Devices, Tmpfs: h.Tmpfs, Sysctls: h.Sysctls,
		Mounts: h.Mounts, Endpoint: *req.network.EndpointsConfig["n"].IPAMConfig,
		NanoCPUs: h.NanoCPUs, Memory: h.Memory, MemorySwap: h.MemorySwap,
		Restart: h.RestartPolicy.Name, Cgroupns: h.CgroupnsMode, Privileged: h.Privileged, Init: *h.Init,
		Unmasked: h.MaskedPaths != nil && len(h.MaskedPaths) == 0 && h.ReadonlyPaths != nil && len(h.ReadonlyPaths) == 0,
		HostIP:   h.PortBindings["6443/tcp"][0].HostIP,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestHostBinds(t *testing.T) {
	for _, test := range []struct {
		name  string
		mount provider.Mount
		want  []string
	}{
		{"plain", provider.Mount{HostPath: "/a", Path: "/b"}, []string{"/a:/b"}},
		{"all", provider.Mount{HostPath: "/a", Path: "/b", ReadOnly: true, SELinuxRelabel: true, Propagation: "rshared"}, []string{"/a:/b:ro,z,rshared"}},
		{"colon", provider.Mount{HostPath: "/a:c", Path: "/b"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := hostBinds([]provider.Mount{test.mount})
			if diff := cmp.Diff(test.want, got); diff != "" || (err == nil) != (test.want != nil) {
				t.Errorf("error %v, (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestIPAMPools(t *testing.T) {
	prefix := netip.MustParsePrefix
	for _, test := range []struct {
		name string
		spec provider.NetworkSpec
		want []network.IPAMConfig
		ipv6 bool
	}{
		{
			"no range",
			provider.NetworkSpec{Subnets: []netip.Prefix{prefix("10.1.0.0/24")}},
			[]network.IPAMConfig{{Subnet: "10.1.0.0/24", IPRange: "10.1.0.0/24", Gateway: "10.1.0.1"}},
			false,
		},
		{
			"range",
			provider.NetworkSpec{Subnets: []netip.Prefix{prefix("10.1.0.0/24")}, Dynamic: []netip.Prefix{prefix("10.1.0.128/25")}},
			[]network.IPAMConfig{{Subnet: "10.1.0.0/24", IPRange: "10.1.0.128/25", Gateway: "10.1.0.128"}},
			false,
		},
		{
			"dual",
			provider.NetworkSpec{Subnets: []netip.Prefix{prefix("10.1.0.0/24"), prefix("fd01::/64")}},
			[]network.IPAMConfig{
				{Subnet: "10.1.0.0/24", IPRange: "10.1.0.0/24", Gateway: "10.1.0.1"},
				{Subnet: "fd01::/64", IPRange: "fd01::/64", Gateway: "fd01::1"},
			},
			true,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, ipv6, err := ipamPools(test.spec)
			if diff := cmp.Diff(test.want, got); diff != "" || err != nil || ipv6 != test.ipv6 {
				t.Errorf("IPv6 %t, error %v, (-want +got):\n%s", ipv6, err, diff)
			}
		})
	}
	_, _, err := ipamPools(provider.NetworkSpec{
		Subnets: []netip.Prefix{prefix("10.1.0.0/24")}, Dynamic: []netip.Prefix{prefix("10.2.0.0/25")},
	})
	if err == nil {
		t.Error("a range outside its subnet was taken")
	}
}

func TestOldestOfName(t *testing.T) {
	now := time.Now()
	list := []network.Inspect{
		{ID: "c", Name: "net", Created: now},
		{ID: "b", Name: "net", Created: now},
		{ID: "d", Name: "net", Created: now.Add(time.Second)},
		{ID: "a", Name: "net-other", Created: now.Add(-time.Second)},
	}
	if got := oldestOfName(list, "net"); got != "b" {
		t.Errorf("got %q, want %q", got, "b")
	}
}
