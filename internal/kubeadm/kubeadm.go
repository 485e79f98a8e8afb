// Package kubeadm renders what every node of a cluster needs of kubeadm: on
// control planes its configuration and command lines, on workers the files that
// "kubeadm join" would have left, and on both the kubelet's kubeconfig and
// drop-ins. It is pure: values in, files out.
//
// All control planes run "kubeadm init" at the same time, with etcd's members
// known beforehand; none joins. So that the result is what init and join would
// have left, each document is patched as theirs would be: InitConfiguration on
// the first control plane, JoinConfiguration on every other node.
package kubeadm

import (
	"fmt"
	"net/netip"

	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/nodespec"
)

// Input is a cluster and what creating it has settled. Nothing in it is secret but
// EncryptionKey, and EtcdToken, which guards against mistakes alone.
type Input struct {
	Cluster *config.Cluster
	// Addrs are every node's fixed addresses, the primary family first.
	Addrs map[string][]netip.Addr
	// APIHost is the name of the API's endpoint.
	APIHost string
	// SANs are further names and addresses the API is reached by: the load
	// balancer's, and the host's address it is published on.
	SANs []string
	// Runtimes are every node's container runtime.
	Runtimes map[string]Runtime
	// CgroupVersion of the host, 1 or 2.
	CgroupVersion int
	// Rootless engines' nodes may not set the connection tracking's time-outs.
	Rootless bool
	// HostCPUs and HostMemory (bytes) are what every kubelet sees as its
	// machine's, whatever its node is limited to.
	HostCPUs   int
	HostMemory int64
	// CA is the cluster's certificate authority as PEM.
	CA []byte
	// EtcdToken is etcd's initial-cluster-token, random per cluster.
	EtcdToken string
	// EncryptionKey is what a hardened cluster's Secrets are encrypted with:
	// EncryptionKeySize random bytes.
	EncryptionKey []byte
}

// Runtime is what kubeadm and the kubelet are told of a node's container runtime.
type Runtime struct {
	// Socket is its CRI endpoint, "unix:///run/containerd/containerd.sock".
	Socket string
	// DropIn is the kubelet configuration drop-in that it needs; nil for none.
	DropIn []byte
}

// Node is what one node gets.
type Node struct {
	// Files go into the node before its first start.
	Files []nodespec.File
	// Commands are the command lines that make a control plane of the node, to be
	// run in it one after the other. A worker has none.
	Commands [][]string
	// Labels are those that a kubelet may not give to its own node; they are
	// set through the API once the node is registered.
	Labels map[string]string
	// Annotations are set through the API too.
	Annotations map[string]string
}

// Files in a node.
const (
	// ConfigFile is kubeadm's configuration.
	ConfigFile = "/etc/kluster/kubeadm.yaml"
	// EtcdConfigFile is the same with etcd's members, for the etcd phase alone:
	// were they in the configuration that the cluster keeps, a later join would
	// give etcd a stale list.
	EtcdConfigFile = "/etc/kluster/kubeadm-etcd.yaml"
	// DropInDir holds the kubelet's drop-ins.
	DropInDir = nodespec.KubeletDropIns
	// superAdminConf is a kubeconfig that a join does not leave.
	superAdminConf = "/etc/kubernetes/super-admin.conf"
)

// Render gives every node its part, by name. Errors are of the configuration:
// patches that do not apply, or a version that is not supported.
func Render(in Input) (map[string]Node, error) {
	r, err := newRenderer(in)
	if err != nil {
		return nil, err
	}
	nodes := map[string]Node{}
	for i, n := range in.Cluster.Nodes {
		if nodes[n.Name], err = r.node(n, i == 0); err != nil {
			return nil, fmt.Errorf("kubeadm configuration of node %s: %w", n.Name, err)
		}
	}
	return nodes, nil
}
