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

// grant is something that a system node gets beside capabilities. docs/security.md shows
// these tables.
type grant struct {
	what string // as the engine takes it
	why  string
}

// securityOptions are what an engine confines ordinary containers with, and is told not
// to confine a node with: it is the node's container runtime that confines pods.
var securityOptions = []grant{
	{"seccomp=unconfined", "mounts, namespaces and keyrings: the runtime makes containers, and gives each a list of system calls of its own"},
	{"apparmor=unconfined", "the engine's profile denies every mount"},
	{"label=disable", "the same of SELinux's"},
}

// deviceRules let the node's processes open devices of the host that have a node in
// /dev, or make one: what a privileged pod may.
var deviceRules = []grant{
	{"a *:* rwm", "the runtime gives containers devices by rules of its own, which may not go beyond the node's"},
}

// devices of the host, where it has them.
var devices = []grant{
	{"/dev/kmsg", "the kubelet reads of kills for lack of memory there, and does not start without it"},
	{"/dev/fuse", "file systems in user space: fuse-overlayfs where overlayfs cannot be stacked, and pods"},
}

// hostFolders of the host, where it has them, that can only be read.
var hostFolders = []grant{
	{"/lib/modules", "modprobe in nodes and pods finds what the host's kernel can load"},
}

// memoryFolders live in memory, and begin empty at each start.
var memoryFolders = []grant{
	{"/run", "systemd, sockets and locks that must not outlive a start"},
	{"/tmp", "as on any machine"},
}

// sysctlsOfIPv6 are the node's own, for it has a network namespace of its own.
var sysctlsOfIPv6 = []struct {
	name, value, why string
}{
	{"net.ipv6.conf.all.disable_ipv6", "0", "some engines turn IPv6 off in containers"},
	{"net.ipv6.conf.all.forwarding", "1", "packets of pods are forwarded, and /proc/sys may be read-only before the node mends it"},
}

func whats(grants []grant) []string {
	var all []string
	for _, g := range grants {
		all = append(all, g.what)
	}
	return all
}

// system adds what systemd and a container runtime need, and nothing that reaches the
// host alone. An engine that lacks a capability itself refuses --privileged altogether,
// which gives more.
func (r *request) system(spec provider.NodeSpec, f facts) {
	h := r.host
	h.CapAdd = []string{"ALL"}
	h.CapDrop = slices.Clone(f.dropCaps)
	h.SecurityOpt = whats(securityOptions)
	// Empty, not nil: nil asks for the engine's own lists.
	h.MaskedPaths, h.ReadonlyPaths = []string{}, []string{}
	h.DeviceCgroupRules = whats(deviceRules)
	for _, path := range whats(devices) {
		if f.exists(path) {
			h.Devices = append(h.Devices, container.DeviceMapping{
				PathOnHost: path, PathInContainer: path, CgroupPermissions: "rwm",
			})
		}
	}
	if runtime.GOOS != "linux" || f.exists("/proc/self/ns/cgroup") {
		h.CgroupnsMode = container.CgroupnsModePrivate
	}
	for _, path := range whats(hostFolders) {
		if f.exists(path) {
			h.Binds = append(h.Binds, path+":"+path+":ro")
		}
	}
	for _, path := range whats(memoryFolders) {
		if _, ok := h.Tmpfs[path]; !ok {
			h.Tmpfs[path] = ""
		}
	}
	if _, ok := spec.Env["container"]; !ok {
		r.config.Env = append(r.config.Env, "container=docker")
	}
	if slices.ContainsFunc(spec.Addrs, isIPv6) {
		h.Sysctls = map[string]string{}
		for _, s := range sysctlsOfIPv6 {
			h.Sysctls[s.name] = s.value
		}
	}
}

func isIPv6(addr netip.Addr) bool { return addr.Is6() }
