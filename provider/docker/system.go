package docker

import (
	"net/netip"
	"os"
	"runtime"
	"slices"

	"github.com/docker/docker/api/types/container"

	"github.com/kluster-project/kluster/provider"
)

// facts are what a system node depends on outside its spec.
type facts struct {
	// dropCaps must be named as dropped when all are asked for.
	dropCaps []string
	// exists says whether a path exists on the engine's machine.
	exists func(path string) bool
}

// systemFacts looks at the engine and its machine. Engines from API 1.42 on
// take "all" for those they have themselves, and refuse to drop one they lack.
func (p *Provider) systemFacts() facts {
	f := facts{dropCaps: withheldCaps(), exists: func(path string) bool {
		_, err := os.Stat(path)
		return err == nil
	}}
	lacks := func(name string) bool { return slices.Contains(p.missing(), name) }
	if p.apiBefore("1.42") {
		f.dropCaps = union(p.missing(), f.dropCaps)
	} else {
		f.dropCaps = slices.DeleteFunc(f.dropCaps, lacks)
	}
	return f
}

func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// system adds what systemd and a container runtime need, and nothing that reaches the
// host alone. An engine that lacks a capability itself refuses --privileged altogether,
// which gives more.
func (r *request) system(spec provider.NodeSpec, f facts) {
	h := r.host
	h.CapAdd = []string{"ALL"}
	h.CapDrop = slices.Clone(f.dropCaps)
	h.SecurityOpt = []string{"seccomp=unconfined", "apparmor=unconfined", "label=disable"}
	// Empty, not nil: nil asks for the engine's own lists.
	h.MaskedPaths, h.ReadonlyPaths = []string{}, []string{}
	h.DeviceCgroupRules = []string{"a *:* rwm"}
	for _, path := range []string{"/dev/kmsg", "/dev/fuse"} {
		if f.exists(path) {
			h.Devices = append(h.Devices, container.DeviceMapping{
				PathOnHost: path, PathInContainer: path, CgroupPermissions: "rwm",
			})
		}
	}
	if runtime.GOOS != "linux" || f.exists("/proc/self/ns/cgroup") {
		h.CgroupnsMode = container.CgroupnsModePrivate
	}
	if f.exists("/lib/modules") {
		h.Binds = append(h.Binds, "/lib/modules:/lib/modules:ro")
	}
	for _, path := range []string{"/run", "/tmp"} {
		if _, ok := h.Tmpfs[path]; !ok {
			h.Tmpfs[path] = ""
		}
	}
	if _, ok := spec.Env["container"]; !ok {
		r.config.Env = append(r.config.Env, "container=docker")
	}
	if slices.ContainsFunc(spec.Addrs, isIPv6) {
		h.Sysctls = map[string]string{
			"net.ipv6.conf.all.disable_ipv6": "0",
			"net.ipv6.conf.all.forwarding":   "1",
		}
	}
}

func isIPv6(addr netip.Addr) bool { return addr.Is6() }
