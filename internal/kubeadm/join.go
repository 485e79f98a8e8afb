package kubeadm

import (
	"fmt"
	"net/netip"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/nodespec"
)

// JoinInput is a node that is added to a cluster that there is. Nothing in it is secret.
type JoinInput struct {
	// Cluster and Kubelet are the ClusterConfiguration and the KubeletConfiguration that
	// the cluster keeps, as YAML.
	Cluster, Kubelet []byte
	// Kubernetes is the version of the node's own programs.
	Kubernetes string
	Node       config.Node
	// Addrs are its fixed addresses, the primary family first; its pods have both
	// families where DualStack.
	Addrs     []netip.Addr
	DualStack bool
	Runtime   Runtime
	// CA is the cluster's certificate authority as PEM.
	CA []byte
}

// Joining is what a node gets that is added.
type Joining struct {
	Node
	// Join is nodespec.JoinFile of a control plane, which comes when it is its turn.
	Join nodespec.File
}

// Phases of "kubeadm join" that are skipped, and why.
var (
	joinSkipAlways = []string{
		"preflight",              // the cluster was checked; images are in the node
		"kubelet-start",          // the kubelet has its files and runs
		"kubelet-wait-bootstrap", // and its certificate
	}
	// joinSkipFirst come after etcd: an API server that finds none tries again after
	// ever longer times.
	joinSkipFirst = []string{"control-plane-prepare/control-plane", "control-plane-join/mark-control-plane", "wait-control-plane"}
	// joinSkipThen are done by then.
	joinSkipThen = []string{
		"control-plane-prepare/download-certs", "control-plane-prepare/certs", "control-plane-prepare/kubeconfig", "check-etcd", "etcd-join",
	}
)

// RenderJoin gives a node that is added its part. A worker has all that "kubeadm join"
// leaves; a control plane runs its phases, with etcd's member as a learner at first.
func RenderJoin(in JoinInput) (Joining, error) {
	r, err := joinRenderer(in)
	if err != nil {
		return Joining{}, err
	}
	out := Joining{}
	if out.Files, err = r.dropIns(in.Node, patches{}); err != nil {
		return Joining{}, err
	}
	reg, err := r.registration(in.Node, false, len(out.Files) > 0, patches{})
	if err != nil {
		return Joining{}, err
	}
	out.Labels = takeForeignLabels(child(reg, "nodeRegistration"), in.Node.Labels)
	if !r.instanceConfig() {
		out.Annotations = map[string]string{criSocketAnnotation: in.Runtime.Socket}
	}
	conf, err := r.kubeletConf(in.Node, false)
	if err != nil {
		return Joining{}, err
	}
	controlPlane := in.Node.Role == nodespec.RoleControlPlane
	kubelet, err := r.kubeletFiles(reg, controlPlane)
	if err != nil {
		return Joining{}, err
	}
	out.Files = append(append(out.Files, conf), kubelet...)
	if !controlPlane {
		return out, nil
	}
	out.Commands = joinCommands()
	out.Join, err = joinFile(reg)
	return out, err
}

// joinRenderer has the documents of the cluster that there is, whatever patches made them.
func joinRenderer(in JoinInput) (*renderer, error) {
	r := &renderer{in: Input{
		Cluster: &config.Cluster{Nodes: []config.Node{in.Node}, Networking: config.Networking{IPFamily: "ipv4"}},
		Addrs:   map[string][]netip.Addr{in.Node.Name: in.Addrs}, Runtimes: map[string]Runtime{in.Node.Name: in.Runtime}, CA: in.CA,
	}}
	if in.DualStack {
		r.in.Cluster.Networking.IPFamily = "dual"
	}
	var err error
	if r.release, err = releaseOf(in.Kubernetes); err != nil {
		return nil, err
	}
	for _, doc := range []struct {
		kind kind
		text []byte
		to   *object
	}{{clusterKind, in.Cluster, &r.cluster}, {kubeletKind, in.Kubelet, &r.kubelet}} {
		if err := yaml.Unmarshal(doc.text, doc.to); err != nil {
			return nil, fmt.Errorf("reading the cluster's %s: %w", doc.kind, err)
		}
		if got := str(*doc.to, "kind"); got != string(doc.kind) {
			return nil, fmt.Errorf("reading the cluster's %s: it is a %q", doc.kind, got)
		}
	}
	return r, nil
}

// joinCommands wait until it is the node's turn, and join. In between the kubelet starts
// etcd's static pod.
func joinCommands() [][]string {
	join := func(skip []string) []string {
		return []string{"kubeadm", "join", "--config", nodespec.JoinFile, "--skip-phases=" + strings.Join(append(skip, joinSkipAlways...), ",")}
	}
	return [][]string{
		{"kluster-node", "await", "file", nodespec.JoinTurn},
		join(append([]string{}, joinSkipFirst...)),
		join(append([]string{}, joinSkipThen...)),
		{"rm", "-f", nodespec.JoinConf, nodespec.JoinFile, nodespec.JoinTurn},
	}
}

// joinFile is kubeadm's configuration of a control plane that joins. It finds the cluster
// with a kubeconfig, so that no token is needed that others could use.
func joinFile(reg object) (nodespec.File, error) {
	doc := clone(reg)
	doc["discovery"] = object{"file": object{"kubeConfigPath": nodespec.JoinConf}}
	b, err := encode(headed(joinKind, doc))
	if err != nil {
		return nodespec.File{}, fmt.Errorf("encoding %s: %w", nodespec.JoinFile, err)
	}
	return nodespec.File{Path: nodespec.JoinFile, Mode: 0o600, Data: b}, nil
}

// ClusterFacts are what a ClusterConfiguration says that those who add nodes must know.
type ClusterFacts struct {
	Kubernetes string // "v1.36.3"
	// ExternalEtcd: control planes have no member of etcd.
	ExternalEtcd bool
	// Mounted are paths of the control planes that its programs read.
	Mounted []string
}

// ReadCluster reads the ClusterConfiguration that a cluster keeps.
func ReadCluster(text []byte) (ClusterFacts, error) {
	var doc object
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return ClusterFacts{}, fmt.Errorf("reading the cluster's %s: %w", clusterKind, err)
	}
	f := ClusterFacts{Kubernetes: str(doc, "kubernetesVersion"), ExternalEtcd: child(doc, "etcd")["external"] != nil}
	for _, name := range components {
		volumes, _ := child(doc, name)["extraVolumes"].([]any)
		for _, v := range volumes {
			if o, ok := v.(object); ok && o["readOnly"] == true {
				f.Mounted = append(f.Mounted, str(o, "hostPath"))
			}
		}
	}
	return f, nil
}
