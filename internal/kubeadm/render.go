package kubeadm

import (
	"fmt"
	"slices"

	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/nodespec"
)

// renderer holds what all nodes share.
type renderer struct {
	in       Input
	release  release
	patches  patches
	cluster  object // ClusterConfiguration, patched
	kubelet  object // KubeletConfiguration, patched
	proxy    object // KubeProxyConfiguration, patched; nil without kube-proxy
	controls []config.Node
}

// newRenderer renders the documents that are the whole cluster's. They are the
// first control plane's, whose own patches therefore count for all, as they do
// when others join it.
func newRenderer(in Input) (*renderer, error) {
	r := &renderer{in: in}
	var err error
	if r.release, err = releaseOf(in.Cluster.KubernetesVersion); err != nil {
		return nil, err
	}
	for _, n := range in.Cluster.Nodes {
		if len(in.Addrs[n.Name]) == 0 {
			return nil, fmt.Errorf("node %s has no address", n.Name)
		}
		if in.Runtimes[n.Name].Socket == "" {
			return nil, fmt.Errorf("node %s has no container runtime", n.Name)
		}
		if n.Role == nodespec.RoleControlPlane {
			r.controls = append(r.controls, n)
		}
	}
	if len(r.controls) == 0 || in.Cluster.Nodes[0].Role != nodespec.RoleControlPlane {
		return nil, fmt.Errorf("the first node of cluster %s is not a control plane", in.Cluster.Name)
	}
	if r.patches, err = parsePatches(in.Cluster.Patches); err != nil {
		return nil, err
	}
	return r, r.renderShared()
}

func (r *renderer) renderShared() (err error) {
	first, err := parsePatches(r.controls[0].Patches)
	if err != nil {
		return fmt.Errorf("node %s: %w", r.controls[0].Name, err)
	}
	if r.cluster, err = r.patched(clusterKind, r.clusterConfiguration(), first); err != nil {
		return err
	}
	r.settle(r.cluster)
	if r.kubelet, err = r.patched(kubeletKind, r.kubeletConfiguration(), first); err != nil {
		return err
	}
	if r.in.Cluster.Networking.KubeProxyMode == "none" {
		return nil
	}
	r.proxy, err = r.patched(proxyKind, r.proxyConfiguration(), first)
	return err
}

// patched gives doc with the cluster's patches and then those of a node.
func (r *renderer) patched(k kind, doc object, node patches) (object, error) {
	doc, err := r.patches.apply(k, doc)
	if err != nil {
		return nil, err
	}
	return node.apply(k, doc)
}

// node renders one node.
func (r *renderer) node(n config.Node, first bool) (Node, error) {
	own, err := parsePatches(n.Patches)
	if err != nil {
		return Node{}, err
	}
	out := Node{}
	if first {
		own.merges = slices.DeleteFunc(own.merges, func(m mergePatch) bool { return m.kind == kubeletKind })
		own.json = slices.DeleteFunc(slices.Clone(own.json), func(j config.JSON6902) bool { return kind(j.Kind) == kubeletKind })
	}
	if out.Files, err = r.dropIns(n, own); err != nil {
		return Node{}, err
	}
	reg, err := r.registration(n, first, len(out.Files) > 0, own)
	if err != nil {
		return Node{}, err
	}
	out.Labels = takeForeignLabels(child(reg, "nodeRegistration"), n.Labels)
	if !first && !r.instanceConfig() {
		out.Annotations = map[string]string{criSocketAnnotation: str(child(reg, "nodeRegistration"), "criSocket")}
	}
	conf, err := r.kubeletConf(n, first)
	if err != nil {
		return Node{}, err
	}
	out.Files = append(out.Files, conf)

	role, err := r.role(n, reg, first)
	out.Files, out.Commands = append(out.Files, role.Files...), role.Commands
	return out, err
}

// role renders what depends on whether a node is a control plane.
func (r *renderer) role(n config.Node, reg object, first bool) (Node, error) {
	if n.Role == nodespec.RoleControlPlane {
		return r.controlPlane(reg, first)
	}
	files, err := r.kubeletFiles(reg, false)
	return Node{Files: files}, err
}
