// Package nodespec is what the node image and the cluster agree on: labels,
// paths, ports, the configuration a node reads at its start, and the manifest
// of what an image holds. It has no logic of its own beyond encoding.
package nodespec

import "net/netip"

// Labels on containers, volumes, networks and images.
const (
	// LabelCluster holds the cluster's name, on every object of a cluster.
	LabelCluster = "io.kluster.cluster"
	// LabelCreation holds a random ID of the create that made the object, so
	// that a roll-back removes its own objects and nobody else's.
	LabelCreation = "io.kluster.creation"
	// LabelCreator names the process that made the object; see cluster.Creator.
	LabelCreator = "io.kluster.creator"
	// LabelRole holds a Role.
	LabelRole = "io.kluster.role"
	// LabelNode holds the name of the node that the object is, or belongs to.
	LabelNode = "io.kluster.node"
	// LabelSpec, on each node, holds the cluster's resolved facts as JSON that
	// later verbs need (version, API port, subnets); no secrets.
	LabelSpec = "io.kluster.spec"
	// LabelManifest, on images, holds a Manifest as JSON.
	LabelManifest = "io.kluster.manifest"
	// LabelProtocol, on images, holds Protocol of its kluster-node.
	LabelProtocol = "io.kluster.protocol"
	// LabelLayers, on images, is a JSON object: each folder that one layer alone
	// makes up (those of StoreDir, those of big programs), with that layer's diff ID, for
	// engines that mount it on its own.
	LabelLayers = "io.kluster.layers"
	// LabelKubernetes, on images, holds the Kubernetes version, "v1.36.3".
	LabelKubernetes = "io.kluster.kubernetes"
)

// Protocol is the version of the agreement between the kluster command and the
// kluster-node program in an image: of Node below, and of the paths.
const Protocol = 6

// Role of a machine in a cluster.
type Role string

// The roles.
const (
	RoleControlPlane Role = "control-plane"
	RoleWorker       Role = "worker"
	RoleLoadBalancer Role = "load-balancer"
	// RoleRegistry is no machine of the cluster, but serves its nodes images.
	RoleRegistry Role = "registry"
	// RoleLock is none either, and never runs: while it is there, somebody changes the
	// nodes of the cluster.
	RoleLock Role = "lock"
	// RoleFault is none either, and never runs: it is the record of a fault that is
	// undone from outside of the nodes that have it.
	RoleFault Role = "fault"
)

// Ports.
const (
	// APIPort is where the node-local proxy and the load balancer listen. Not
	// 6443: kubeadm's kube-apiserver binds that on every address.
	APIPort = 16443
	// APIServerPort is kube-apiserver's own.
	APIServerPort = 6443
	// MirrorsPort is where, on 127.0.0.1, runtimes that cannot be told of mirrors find
	// a proxy that asks them.
	MirrorsPort = 16444
	// FirstServicePort is where the load balancer listens for the first of the ports
	// that lead to Services of type LoadBalancer; the next follows it.
	FirstServicePort = 20000
)

// InternalDomain ends the names of what clusters share, on their networks; no proxy is
// asked for them.
const InternalDomain = ".kluster.internal"

// Paths in a node.
const (
	// NodeFile is Node as JSON, streamed in before the node's first start.
	NodeFile = "/etc/kluster/node.json"
	// ReadyFile appears on the first control plane when a create has ended
	// well; its absence marks a cluster that was left half made.
	ReadyFile = "/etc/kluster/created"
	// BootedFile appears when systemd and the container runtime of a node are
	// up. It is a plain file on the node's root file system, so that it can be
	// looked for without running anything in the node: on cgroup v2 a process
	// put into it before systemd has moved its own would break the hierarchy.
	BootedFile = "/etc/kluster/booted"
	// BootstrapFile holds the command lines that make a control plane of the
	// node, a JSON list of lists of words, and BootstrapResult how they ended.
	BootstrapFile   = "/etc/kluster/bootstrap.json"
	BootstrapResult = "/etc/kluster/bootstrapped.json"
	// JoinFile is how a control plane that is added joins, and JoinConf the access that
	// it does so with. They come when it is its turn, and JoinTurn, which is empty, after
	// them; all go when it has joined.
	JoinFile = "/etc/kluster/join.yaml"
	JoinConf = "/etc/kluster/join.conf"
	JoinTurn = "/etc/kluster/join"
	// JoinedFile appears on a node that was added to a cluster when that has ended well.
	JoinedFile = "/etc/kluster/joined"
	// StoreDir holds the preloaded images, one folder per runtime, in the
	// image's read-only layers ("/opt/kluster/store/containerd").
	StoreDir = "/opt/kluster/store"
	// NetworkFile is what the pod network service tells the CNI plugin: the
	// node's pod ranges, a PodRanges as JSON.
	NetworkFile = "/run/kluster/pod-ranges.json"
	// PolicySocket is where the address plugin asks whether a new pod's network
	// policies hold; it is there while there are policies. PolicyMark, too, and it
	// outlives a restart of the node.
	PolicySocket = "/run/kluster/policy.sock"
	PolicyMark   = "/var/lib/kluster/policies"
	// BootRecord is what kluster-node's steps took at the last boot, a JSON
	// object per line: name, start, end, error.
	BootRecord = "/run/kluster/boot-steps.jsonl"
	// NodeBinary is the program of cmd/kluster-node. It is the image's entry
	// point ("init"), and is called by other names through links.
	NodeBinary = "/usr/local/bin/kluster-node"
	// KubeletConf is kubeadm's kubeconfig of the kubelet.
	KubeletConf = "/etc/kubernetes/kubelet.conf"
	// KubeletDropIns holds the kubelet's drop-ins; RuntimeDropIn is what it needs
	// beside its container runtime.
	KubeletDropIns = "/etc/kubernetes/kubelet.conf.d"
	RuntimeDropIn  = KubeletDropIns + "/05-runtime.conf"
	// AuthoritiesDir holds further certificate authorities that a node trusts, PEM files
	// NAME.crt. It is Debian's folder for them.
	AuthoritiesDir = "/usr/local/share/ca-certificates"
	// MirrorsDir holds what a node knows of mirrors of registries: for each source
	// that tells it of some a file NAME.json, a list of Mirror as JSON. Those of the
	// file that comes first by name are asked first.
	MirrorsDir = "/etc/kluster/mirrors.d"
	// MirrorsTrusted is the folder of MirrorsAuthority alone, which a runtime without a
	// configuration of mirrors trusts besides the system's authorities.
	MirrorsTrusted   = "/run/kluster/mirrors/trusted"
	MirrorsAuthority = MirrorsTrusted + "/kluster-mirrors.pem"
	// BalancerManifests is a folder for "kubectl apply -k": MetalLB, which serves
	// Services of type LoadBalancer.
	BalancerManifests = "/usr/local/share/kluster/metallb"
	// AdminConf is kubeadm's kubeconfig of the cluster's administrator, on control
	// planes.
	AdminConf = "/etc/kubernetes/admin.conf"
	// LoadBalancerConfig is haproxy's configuration in the load balancer.
	LoadBalancerConfig = "/etc/haproxy/haproxy.cfg"
)

// Volumes are the folders of a node that must not lie on the image's own file
// system, since they are written most; besides them the container runtimes' are,
// because overlayfs cannot stack its upper layers on one.
var Volumes = []string{"/var/lib/kubelet", "/var/lib/etcd", "/var/log"}

// Node is what a node is told at its start. It holds no secrets.
type Node struct {
	Protocol int    `json:"protocol"`
	Cluster  string `json:"cluster"`
	Name     string `json:"name"`
	Role     Role   `json:"role"`
	Runtime  string `json:"runtime"`
	// OCIRuntime starts the containers; "" for the runtime's default.
	OCIRuntime string `json:"ociRuntime,omitempty"`
	// Addrs are the node's fixed addresses, the primary family first.
	Addrs []netip.Addr `json:"addrs"`
	// APIHost is the name of the cluster's API endpoint, which is 127.0.0.1
	// (or ::1) on every node.
	APIHost string `json:"apiHost"`
	// APIServers are "host:port" of every kube-apiserver, for the node-local
	// proxy; the node's own is preferred.
	APIServers []string `json:"apiServers"`
	// PodSubnets and ServiceSubnets of the cluster, the primary family first.
	PodSubnets     []netip.Prefix `json:"podSubnets"`
	ServiceSubnets []netip.Prefix `json:"serviceSubnets"`
	// CNI is "default" or "none".
	CNI string `json:"cni"`
	// BalancerAddrs are what Services of type LoadBalancer get addresses from; empty
	// where kluster does not serve these.
	BalancerAddrs []AddrRange `json:"balancerAddrs,omitempty"`
	// DNSSearch, if not nil, replaces the search list of resolv.conf.
	DNSSearch []string `json:"dnsSearch,omitempty"`
	// KeepDNSSearch is true when DNSSearch was not asked for.
	KeepDNSSearch bool `json:"keepDNSSearch"`
	// MissingCaps are the capabilities the engine could not give (the OCI shim
	// and the runtime's configuration depend on them).
	MissingCaps []string `json:"missingCaps,omitempty"`
	// PauseImage is the sandbox image of every pod, as kubeadm names it
	// ("registry.k8s.io/pause:3.10.2").
	PauseImage string `json:"pauseImage,omitempty"`
	// RuntimePatches are TOML documents merged over the runtime's own
	// configuration, and RuntimeJSONPatches RFC 6902 patches applied to it; a
	// runtime that takes none leaves them for one that the node has later.
	RuntimePatches     []string `json:"runtimePatches,omitempty"`
	RuntimeJSONPatches []string `json:"runtimeJSONPatches,omitempty"`
}

// Sources of mirrors, the one that is asked first first; see MirrorsDir.
const (
	MirrorsOfCluster = "10-cluster"
	MirrorsOfUser    = "20-user"
	MirrorsOfCaches  = "30-caches"
)

// Mirror says where images of a registry are to be had besides from itself.
type Mirror struct {
	// Of is the registry's host as images name it, with a port if it is not 443:
	// "docker.io", "registry.example:5000".
	Of string `json:"of"`
	// Endpoints are the URLs that are asked for them, one after the other, before the
	// registry itself: "http://cache.example:5000", or "https://mirror.example/hub" if
	// its images have names that begin with "hub/".
	Endpoints []string `json:"endpoints"`
}

// AddrRange is all addresses from First to Last, which are of one family.
type AddrRange struct {
	First netip.Addr `json:"first"`
	Last  netip.Addr `json:"last"`
}

// String gives "FIRST-LAST".
func (r AddrRange) String() string { return r.First.String() + "-" + r.Last.String() }

// PodRanges is NetworkFile's form.
type PodRanges struct {
	Ranges []netip.Prefix `json:"ranges"`
	MTU    int            `json:"mtu"`
}

// Manifest says what a node image holds.
type Manifest struct {
	Kubernetes string            `json:"kubernetes"` // "v1.36.3"
	Arch       string            `json:"arch"`
	Runtimes   []string          `json:"runtimes"`
	Recipe     string            `json:"recipe"` // digest of all inputs, "sha256:..."
	Components []ComponentRecord `json:"components"`
	Packages   []PackageRecord   `json:"packages"` // Debian packages of the base
	Images     []ImageRecord     `json:"images"`   // preloaded container images
}

// ComponentRecord is one program in the image.
type ComponentRecord struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Source  string `json:"source"` // "module example.com/x@v1", "release URL", "debian", "file"
	Digest  string `json:"digest"` // "sha256:..." of the program or its layer
}

// PackageRecord is one Debian package.
type PackageRecord struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// ImageRecord is one preloaded container image.
type ImageRecord struct {
	Ref    string `json:"ref"` // "registry.k8s.io/pause:3.10.2"
	Digest string `json:"digest"`
	Size   int64  `json:"size"` // bytes, unpacked
	// Without are the container runtimes of the image whose nodes do not have it, and pull it.
	Without []string `json:"without,omitempty"`
}
