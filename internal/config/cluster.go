// Package config turns what a user asked for (flags, a kluster.dev/v1alpha1
// file or a kind file) into a resolved Cluster: defaulted, validated, every
// node by name. All problems are reported at once, each with file, line and
// field.
package config

import (
	"net/netip"
	"slices"

	"github.com/kluster-project/kluster/internal/nodespec"
)

// Cluster is a resolved wish: nothing is left to default, but the subnet of
// the nodes' own network and the API port, which the host decides.
type Cluster struct {
	Name string
	// KubernetesVersion is "v1.36.3"; Image, when set, overrides the image
	// that belongs to it. The version is "" when only an image was given, whose
	// label says it; when both are set, they must agree.
	KubernetesVersion string
	Image             string
	// Runtime and OCIRuntime are those of nodes that name none.
	Runtime, OCIRuntime string
	// Ephemeral says that the cluster need not survive a power cut of the host.
	Ephemeral bool
	// Hardened asks for what docs/security.md says of it.
	Hardened   bool `json:",omitempty"`
	Nodes      []Node
	Networking Networking
	Registries Registries `json:",omitzero"`
	// CertificateAuthorities are trusted by the nodes' own programs.
	CertificateAuthorities []Authority `json:",omitempty"`
	// Proxy of the nodes; nil for the host's.
	Proxy        *Proxy `json:",omitempty"`
	FeatureGates map[string]bool
	// RuntimeConfig is kube-apiserver's --runtime-config.
	RuntimeConfig map[string]string
	Patches       Patches
	// Addons are those that were asked for, by name, each once.
	Addons []string `json:",omitempty"`
}

// Runtimes are the container runtimes that the image of nodes which name none must
// hold.
func (c *Cluster) Runtimes() []string {
	var names []string
	for _, n := range c.Nodes {
		if n.Image == "" && !slices.Contains(names, n.Runtime) {
			names = append(names, n.Runtime)
		}
	}
	if len(names) == 0 {
		names = []string{c.Runtime}
	}
	return names
}

// Node is one node, control planes first, in the order they were asked for.
type Node struct {
	Name  string // "NAME-control-plane-1"
	Role  nodespec.Role
	Image string // "" for the cluster's
	// Runtime is its container runtime, and OCIRuntime what starts the containers.
	Runtime, OCIRuntime string
	Labels              map[string]string
	// Taints as kubeadm writes them. Nil on a control plane that takes pods.
	Taints []Taint
	// KeepExcludeLB keeps kubeadm's exclude-from-external-load-balancers label.
	KeepExcludeLB bool
	CPUs          float64
	Memory        int64 // bytes
	Mounts        []Mount
	Ports         []PortMapping
	Env           map[string]string
	// Patches of this node alone, applied after the cluster's.
	Patches Patches
}

// Taint is a taint of a node.
type Taint struct{ Key, Value, Effect string }

// Mount is a host path in a node.
type Mount struct {
	HostPath, ContainerPath  string
	ReadOnly, SELinuxRelabel bool
	Propagation              string // "", "None", "HostToContainer", "Bidirectional"
}

// PortMapping publishes a node's port on the host.
type PortMapping struct {
	ContainerPort int
	HostPort      int // 0: kluster picks a free one
	ListenAddress string
	Protocol      string // "TCP", "UDP", "SCTP"
}

// Networking of the cluster.
type Networking struct {
	// PodSubnets and ServiceSubnets hold one prefix per family, primary first.
	PodSubnets     []netip.Prefix
	ServiceSubnets []netip.Prefix
	// NodeSubnets, when not empty, are the subnets of the nodes' own network;
	// else free ones are found.
	NodeSubnets   []netip.Prefix
	IPFamily      string // "ipv4", "ipv6", "dual"
	KubeProxyMode string // "iptables", "nftables", "ipvs", "none"
	CNI           string // "default", "none"
	LoadBalancer  string // of Services: "default", "none"
	// LoadBalancerPorts lead to Services of type LoadBalancer, by TCP.
	LoadBalancerPorts []PortMapping
	APIServerAddress  netip.Addr
	APIServerPort     int // 0: kluster picks a free one
	// DNSSearch, if not nil, replaces the nodes' DNS search list.
	DNSSearch *[]string
}

// Patches change what kluster and kubeadm would write.
type Patches struct {
	// Kubeadm are YAML documents (kind and apiVersion say what they change:
	// InitConfiguration, ClusterConfiguration, JoinConfiguration,
	// KubeletConfiguration, KubeProxyConfiguration) merged as RFC 7386 over
	// the generated ones, in kubeadm v1beta4 form (v1beta3's extraArgs maps
	// are turned into lists beforehand). Unlike other lists, extraArgs and
	// kubeletExtraArgs are merged by name, where a null value removes the
	// argument, and certSANs are united. JoinConfiguration is for every node
	// but the first control plane.
	Kubeadm []string
	// KubeadmJSON6902 are RFC 6902 patches with their targets, applied after
	// Kubeadm; those of a node after the cluster's.
	KubeadmJSON6902 []JSON6902
	// Containerd are TOML documents merged over containerd's configuration,
	// whose form is version 3; ContainerdJSON6902 are RFC 6902 patches (JSON)
	// of it, applied afterwards.
	Containerd         []string
	ContainerdJSON6902 []string
}

// JSON6902 is an RFC 6902 patch of the generated object of that kind. One for
// kubeadm's v1beta3 sees extraArgs and kubeletExtraArgs as maps of strings, one
// for v1beta4 as lists of name and value.
type JSON6902 struct {
	Group, Version, Kind string
	Patch                string // JSON
}
