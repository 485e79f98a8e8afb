package v1alpha1

// Networking of a cluster. A subnet is a prefix such as "10.244.0.0/16"; for
// ipFamily dual it is two, one of each family, with a comma between them, the
// primary family first.
type Networking struct {
	// Addresses of pods. Default: 10.244.0.0/16, fd00:10:244::/56 or both.
	PodSubnet string `json:"podSubnet,omitempty"`
	// Addresses of Services. Default: 10.96.0.0/16, fd00:10:96::/112 or both.
	ServiceSubnet string `json:"serviceSubnet,omitempty"`
	// Addresses of the nodes. Default: free ones of the host's engine.
	NodeSubnet string `json:"nodeSubnet,omitempty"`
	// Address families of nodes, pods and Services. Default: ipv4.
	IPFamily string `json:"ipFamily,omitempty" jsonschema:"enum=ipv4,enum=ipv6,enum=dual"`
	// How kube-proxy works; none leaves it out. Default: iptables.
	KubeProxyMode string `json:"kubeProxyMode,omitempty" jsonschema:"enum=iptables,enum=nftables,enum=none"`
	// Pod network: kluster's own, or none for one that you install.
	// Default: default.
	CNI string `json:"cni,omitempty" jsonschema:"enum=default,enum=none"`
	// What serves Services of type LoadBalancer: MetalLB, which starts when the first
	// one appears, or none for something that you install. Default: default.
	LoadBalancer string `json:"loadBalancer,omitempty" jsonschema:"enum=default,enum=none"`
	// Ports of the host that lead to Services of type LoadBalancer, for hosts that
	// have no route to these; containerPort is the Service's port. TCP only.
	// Default: none.
	LoadBalancerPorts []PortMapping `json:"loadBalancerPorts,omitempty"`
	// Address on the host where the Kubernetes API listens. Default:
	// 127.0.0.1, or ::1 in an IPv6 cluster.
	APIServerAddress string `json:"apiServerAddress,omitempty"`
	// Port on the host where the Kubernetes API listens; 0 lets kluster pick a
	// free one, which then stays the same. Default: 0.
	APIServerPort int `json:"apiServerPort,omitempty" jsonschema:"minimum=0,maximum=65535"`
	// DNS search list of the nodes; an empty list clears it. Default: the
	// host's.
	DNSSearch *[]string `json:"dnsSearch,omitempty"`
}

// Patches are merged over what kluster would write (RFC 7386: maps are merged,
// other values replaced, null removes). kubeadm's lists extraArgs,
// kubeletExtraArgs and certSANs are added to instead.
type Patches struct {
	// Changes of kubeadm's configuration. Each has the kind of what it changes:
	// InitConfiguration, ClusterConfiguration, JoinConfiguration,
	// KubeletConfiguration or KubeProxyConfiguration.
	Kubeadm []Document `json:"kubeadm,omitempty"`
	// Change of the KubeletConfiguration.
	Kubelet Document `json:"kubelet,omitempty"`
	// Change of the KubeProxyConfiguration.
	KubeProxy Document `json:"kubeProxy,omitempty"`
	// TOML documents, changes of containerd's configuration.
	Containerd []string `json:"containerd,omitempty"`
}
