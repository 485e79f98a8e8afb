package docker

// capability is one of the kernel's, and whether a node gets it.
type capability struct {
	name string
	// withheld from nodes: it reaches beyond the node, to what is the host's alone,
	// and no part of a node needs it.
	withheld bool
	// why a node has it, or what it would reach.
	why string
}

// capabilities are the kernel's in the order of their numbers. A node has what its
// systemd, its container runtime and its kubelet need, and what containers of pods
// have by default or may ask for and what ends at the node: privileged pods are a part
// of what people test. docs/security.md shows this table.
var capabilities = []capability{
	{"CHOWN", false, "runtimes unpack images; containers have it by default"},
	{"DAC_OVERRIDE", false, "root of the node writes files of other users; containers have it by default"},
	{"DAC_READ_SEARCH", false, "backups and runtimes open files by handle; pods ask for it"},
	{"FOWNER", false, "runtimes set modes and times of files of other users; containers have it by default"},
	{"FSETID", false, "unpacking keeps set-group-ID bits; containers have it by default"},
	{"KILL", false, "systemd and runtimes end processes of other users; containers have it by default"},
	{"SETGID", false, "services and containers run as other groups"},
	{"SETUID", false, "services and containers run as other users"},
	{"SETPCAP", false, "runtimes take capabilities from containers"},
	{"LINUX_IMMUTABLE", false, "marks files of the node's own disks; pods ask for it"},
	{"NET_BIND_SERVICE", false, "containers have it by default"},
	{"NET_BROADCAST", false, "nothing asks for it, and the kernel looks at it nowhere"},
	{"NET_ADMIN", false, "addresses, routes and packet rules of the node's and the pods' networks"},
	{"NET_RAW", false, "iptables, ping, and addresses that are announced; pods ask for it"},
	{"IPC_LOCK", false, "memory that is locked: BPF maps on old kernels; pods ask for it"},
	{"IPC_OWNER", false, "shared memory of the node's pods"},
	{"SYS_MODULE", false, "pod networks ask for it (Cilium's) to load modules of the host's kernel; see below"},
	{"SYS_RAWIO", true, "ports and memory of the host's devices"},
	{"SYS_CHROOT", false, "runtimes; containers have it by default"},
	{"SYS_PTRACE", false, "the runtime and the kubelet look into /proc of containers"},
	{"SYS_PACCT", false, "accounting of the node's own processes"},
	{"SYS_ADMIN", false, "mounts, namespaces and cgroups: all of a container"},
	{"SYS_BOOT", true, "another kernel for the host (kexec); a node reboots without it"},
	{"SYS_NICE", false, "the runtime places containers on processors; pods ask for it"},
	{"SYS_RESOURCE", false, "oom_score_adj below 0, and limits above the hard ones; nodes do without where the engine lacks it"},
	{"SYS_TIME", true, "the host's clock, which all nodes share"},
	{"SYS_TTY_CONFIG", true, "the host's consoles"},
	{"MKNOD", false, "devices of containers; containers have it by default"},
	{"LEASE", false, "leases on files of the node"},
	{"AUDIT_WRITE", false, "containers have it by default"},
	{"AUDIT_CONTROL", true, "the audit rules of the host's kernel"},
	{"SETFCAP", false, "unpacking keeps capabilities of files; containers have it by default"},
	{"MAC_OVERRIDE", true, "the host's access control (Smack)"},
	{"MAC_ADMIN", true, "the host's access control (AppArmor, SELinux, Smack)"},
	{"SYSLOG", false, "the kubelet reads /dev/kmsg for kills for lack of memory, which hosts forbid others"},
	{"WAKE_ALARM", true, "when the host wakes up"},
	{"BLOCK_SUSPEND", true, "whether the host may sleep"},
	{"AUDIT_READ", true, "the audit records of the host's kernel"},
	{"PERFMON", false, "figures of the node's processes; tracers ask for it"},
	{"BPF", false, "pod networks and tracers; engines from 20.11 on give it"},
	{"CHECKPOINT_RESTORE", false, "checkpoints of containers; engines from 20.11 on give it"},
}

// withheldCaps are those that no node gets, as the engine names them.
func withheldCaps() []string {
	var names []string
	for _, c := range capabilities {
		if c.withheld {
			names = append(names, "CAP_"+c.name)
		}
	}
	return names
}
