package v1alpha1

// Cluster is a wish for a cluster. Everything but apiVersion and kind has a
// default.
type Cluster struct {
	// Must be kluster.dev/v1alpha1.
	APIVersion string `json:"apiVersion" jsonschema:"enum=kluster.dev/v1alpha1"`
	// Must be Cluster.
	Kind string `json:"kind" jsonschema:"enum=Cluster"`
	// Name of the cluster, a DNS label; its nodes are NAME-control-plane-1,
	// NAME-worker-1 and so on. Default: kluster.
	Name string `json:"name,omitempty" jsonschema:"pattern=^[a-z0-9]([-a-z0-9]*[a-z0-9])?$,maxLength=47"`
	// Kubernetes version, "v1.36.3", or "v1.36" for the newest known of that
	// minor version. Default: the newest known.
	KubernetesVersion string `json:"kubernetesVersion,omitempty" jsonschema:"example=v1.36.3"`
	// Node image of every node that names none. Default: the image that
	// "kluster build node-image" makes for the Kubernetes version.
	Image string `json:"image,omitempty"`
	// Container runtime of every node that names none. Default: containerd.
	Runtime string `json:"runtime,omitempty" jsonschema:"enum=containerd,enum=cri-dockerd,enum=cri-o"`
	// OCI runtime, which starts the containers, of every node that names none.
	// Default: runc.
	OCIRuntime string `json:"ociRuntime,omitempty" jsonschema:"enum=runc,enum=crun"`
	// Whether the cluster may be lost in a power cut or a crash of its host: etcd
	// does not wait for the disk, and container logs are kept short. A node that is
	// killed still loses nothing. Default: false.
	Ephemeral *bool `json:"ephemeral,omitempty"`
	// Whether the cluster refuses and hides more than Kubernetes does by itself: Pod
	// Security "baseline" in namespaces that say nothing else, Secrets encrypted in
	// etcd, kubelets' certificates verified, anonymous requests for nothing but health.
	// Default: false.
	Hardened *bool `json:"hardened,omitempty"`
	// Nodes of the cluster, at most 32, at least one of them a control plane,
	// but not two of them. Default: one control plane.
	Nodes []Node `json:"nodes,omitempty" jsonschema:"maxItems=32"`
	// Networking of the cluster.
	Networking Networking `json:"networking,omitzero"`
	// Where images come from besides their own registries. Default: nowhere.
	Registries Registries `json:"registries,omitzero"`
	// Files of this machine with certificates (PEM) of authorities that the nodes
	// trust besides the usual ones: their kubelets, container runtimes and other
	// programs, not pods. Default: none.
	CertificateAuthorities []string `json:"certificateAuthorities,omitempty"`
	// Proxy of the nodes; {} for none. Default: this machine's, from the engine's
	// client configuration or the usual variables.
	Proxy *Proxy `json:"proxy,omitempty"`
	// Kubernetes feature gates of every component, by name. Default: none.
	FeatureGates map[string]bool `json:"featureGates,omitempty"`
	// API versions and resources that kube-apiserver serves (its flag
	// --runtime-config), such as "api/all": "true". Default: none.
	RuntimeConfig map[string]string `json:"runtimeConfig,omitempty"`
	// Changes of what kluster would write, for every node. Default: none.
	Patches Patches `json:"patches,omitzero"`
	// Add-ons to install, by the names that "kluster addon list" prints, with those
	// that they require. Default: none.
	Addons []string `json:"addons,omitempty" jsonschema:"example=metrics-server"`
}

// Node is one node, or count equal ones.
type Node struct {
	// What the node does. Default: control-plane.
	Role string `json:"role,omitempty" jsonschema:"enum=control-plane,enum=worker"`
	// How many nodes of this form. Default: 1.
	Count *int `json:"count,omitempty" jsonschema:"minimum=1,maximum=32"`
	// Node image. Default: the cluster's.
	Image string `json:"image,omitempty"`
	// Container runtime. Default: the cluster's.
	Runtime string `json:"runtime,omitempty" jsonschema:"enum=containerd,enum=cri-dockerd,enum=cri-o"`
	// OCI runtime. Default: the cluster's.
	OCIRuntime string `json:"ociRuntime,omitempty" jsonschema:"enum=runc,enum=crun"`
	// Labels of the Kubernetes node. Default: none but Kubernetes' own.
	Labels map[string]string `json:"labels,omitempty"`
	// Taints of the Kubernetes node; an empty list means no taint. Default: none
	// on a worker, and on a control plane of a cluster without workers; else
	// node-role.kubernetes.io/control-plane:NoSchedule on a control plane.
	Taints []Taint `json:"taints,omitempty"`
	// Limit of CPUs, such as 2, "1.5" or "500m". Default: none.
	CPUs Number `json:"cpus,omitempty"`
	// Limit of memory in bytes, such as "2Gi" or "512Mi". Default: none.
	Memory string `json:"memory,omitempty" jsonschema:"example=2Gi"`
	// Paths of the host that appear in the node. Default: none.
	ExtraMounts []Mount `json:"extraMounts,omitempty"`
	// Ports of the node that are published on the host; not possible with a
	// hostPort and a count above 1. Default: none.
	ExtraPortMappings []PortMapping `json:"extraPortMappings,omitempty"`
	// Environment of the node's services. Default: the host's proxy variables.
	Env map[string]string `json:"env,omitempty"`
	// Changes for this node alone, made after the cluster's. Default: none.
	Patches Patches `json:"patches,omitzero"`
}

// Taint keeps pods off a node that do not tolerate it.
type Taint struct {
	// Key, such as example.com/dedicated.
	Key string `json:"key"`
	// Value. Default: empty.
	Value string `json:"value,omitempty"`
	// What happens to pods that do not tolerate the taint.
	Effect string `json:"effect" jsonschema:"enum=NoSchedule,enum=PreferNoSchedule,enum=NoExecute"`
}

// Mount is a path of the host in a node.
type Mount struct {
	// Absolute path on the host; it must exist.
	HostPath string `json:"hostPath"`
	// Absolute path in the node.
	ContainerPath string `json:"containerPath"`
	// Whether the node may only read. Default: false.
	ReadOnly bool `json:"readOnly,omitempty"`
	// Whether the host's files get an SELinux label of the node. Default: false.
	SELinuxRelabel bool `json:"selinuxRelabel,omitempty"`
	// Whether mounts made later below the path appear on the other side.
	// Default: None.
	Propagation string `json:"propagation,omitempty" jsonschema:"enum=None,enum=HostToContainer,enum=Bidirectional"`
}

// PortMapping publishes a port of a node on the host.
type PortMapping struct {
	// Port in the node.
	ContainerPort int `json:"containerPort" jsonschema:"minimum=1,maximum=65535"`
	// Port on the host; 0 lets kluster pick a free one. Default: 0.
	HostPort int `json:"hostPort,omitempty" jsonschema:"minimum=0,maximum=65535"`
	// Address on the host. Default: 127.0.0.1, or ::1 in an IPv6 cluster.
	ListenAddress string `json:"listenAddress,omitempty"`
	// TCP, UDP or SCTP. Default: TCP.
	Protocol string `json:"protocol,omitempty" jsonschema:"enum=TCP,enum=UDP,enum=SCTP"`
}
