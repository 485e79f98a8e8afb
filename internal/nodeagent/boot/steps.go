package boot

// Steps are all repairs, in the order they must be made.
var Steps = []Step{
	{
		Name: "user-namespace", Needed: true, When: (*Machine).inUserNamespace,
		Why: "without root on the host, open files and cgroup controllers are only those that were delegated",
		Run: checkUserNamespace,
	},
	{
		Name: "cgroup-mounts-writable", Needed: true,
		Why: "engines mount cgroups read-only unless --privileged, and neither systemd nor a runtime can make a cgroup",
		Run: makeCgroupsWritable,
	},
	{
		Name: "mount-setuid",
		Why:  "with userns-remap on the host, mount is owned by another user and refuses to work",
		Run:  fixMountPrograms,
	},
	{
		Name: "shared-mounts", Needed: true,
		Why: "volumes of pods that ask for mount propagation do not appear in them",
		Run: shareMounts,
	},
	{
		Name: "cgroup-v1-unscoped", When: (*Machine).sharesCgroupNamespace,
		Why: "cgroups made in controllers that the engine does not scope leak to the host, and statistics of the kubelet are missing",
		Run: scopeCgroups,
	},
	{
		Name: "cgroup-v1-misc", When: (*Machine).cgroupV1,
		Why: "runc and systemd disagree about the misc controller, and pods do not start",
		Run: dropMisc,
	},
	{
		Name: "cgroup-v1-unified", When: (*Machine).cgroupV1,
		Why: "a hybrid hierarchy makes systemd and the kubelet take the host for one with cgroup v2",
		Run: dropUnified,
	},
	{
		Name: "cgroup-v1-kubelet", Needed: true, When: (*Machine).cgroupV1,
		Why: "the kubelet does not start without its root cgroup, and systemd removes an empty one",
		Run: makeKubeletCgroups,
	},
	{
		Name: "booted-mark", Needed: true,
		Why: "after a restart the mark of the last boot would say that this one has ended",
		Run: forgetBoot,
	},
	{
		Name: "machine-id", Needed: true,
		Why: "the kubelet and network add-ons tell nodes apart by it, and every node of an image has the same",
		Run: renewMachineID,
	},
	{
		Name: "product-files",
		Why:  "nodes of one host have the same DMI product UUID, and software takes them for one machine",
		Run:  hideProduct,
	},
	{
		Name: "kernel-log",
		Why:  "the kubelet does not start without /dev/kmsg",
		Run:  provideKmsg,
	},
	{
		Name: "kernel-parameters", Needed: true,
		Why: "packets of pods are not forwarded, and pods cannot reach the engine's DNS server on the loopback address",
		Run: setKernelParameters,
	},
	{
		Name: "addresses",
		Why:  "certificates and etcd know the node by its address; an engine may give it another at a restart",
		Run:  keepAddresses,
	},
	{
		Name: "iptables-alternative", Needed: true,
		Why: "rules of two kinds of iptables side by side do not see each other",
		Run: chooseIptables,
	},
	{
		Name: "dns",
		Why:  "the engine's DNS server listens on the node's loopback, which is another one in a pod",
		Run:  exposeDNS,
	},
	{
		Name: "proxy-environment",
		Why:  "services of the node do not see the proxy variables of the container, and cannot pull images",
		Run:  passProxy,
	},
	{
		Name: "authorities", Needed: true, When: (*Machine).hasNewAuthorities,
		Why: "the node's programs do not trust the certificate authorities that they are to trust, and images are not pulled",
		Run: trustAuthorities,
	},
	{
		Name: "etcd-data", Needed: true, When: (*Machine).hasEtcdElsewhere,
		Why: "a restart has cut a disk-full fault short, and etcd would begin without the data that it has acknowledged",
		Run: takeEtcdBack,
	},
	{
		Name: "static-pods", Needed: true, When: (*Machine).isControlPlane,
		Why: "the kubelet looks for a folder of static pods that is missing every 20 seconds only",
		Run: makeManifestsFolder,
	},
	{
		Name: "runtime-configuration", Needed: true,
		Why: "the container runtime depends on cgroup version, capabilities and the user's patches",
		Run: configureRuntime,
	},
	{
		Name: "kubelet-runtime", Needed: true,
		Why: "a swap of the container runtime that was cut short leaves the kubelet with another one than the node has",
		Run: pointKubelet,
	},
	{
		Name: "pod-network-configuration", Needed: true,
		Why: "the kubelet finds its network configuration at the first look, and the node is Ready seconds sooner",
		Run: configurePodNetwork,
	},
}
