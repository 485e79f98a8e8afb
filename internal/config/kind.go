package config

import (
	"github.com/kluster-project/kluster/configs/v1alpha1"
)

// kindAPIVersion is the one version of kind's configuration files that is
// read. Every field of it is, as kind's documentation describes it; the
// differences are kluster's own rules: see fromKind.
const kindAPIVersion = "kind.x-k8s.io/v1alpha4"

type kindCluster struct {
	APIVersion      string            `json:"apiVersion"`
	Kind            string            `json:"kind"`
	Name            string            `json:"name"`
	Nodes           []kindNode        `json:"nodes"`
	Networking      kindNetworking    `json:"networking"`
	FeatureGates    map[string]bool   `json:"featureGates"`
	RuntimeConfig   map[string]string `json:"runtimeConfig"`
	Kubeadm         []string          `json:"kubeadmConfigPatches"`
	KubeadmJSON     []kindJSON6902    `json:"kubeadmConfigPatchesJSON6902"`
	Containerd      []string          `json:"containerdConfigPatches"`
	ContainerdJSONs []string          `json:"containerdConfigPatchesJSON6902"`
}

type kindNode struct {
	Role              string                 `json:"role"`
	Image             string                 `json:"image"`
	Labels            map[string]string      `json:"labels"`
	ExtraMounts       []v1alpha1.Mount       `json:"extraMounts"`
	ExtraPortMappings []v1alpha1.PortMapping `json:"extraPortMappings"`
	Kubeadm           []string               `json:"kubeadmConfigPatches"`
	KubeadmJSON       []kindJSON6902         `json:"kubeadmConfigPatchesJSON6902"`
}

type kindNetworking struct {
	IPFamily          string    `json:"ipFamily"`
	APIServerPort     int       `json:"apiServerPort"`
	APIServerAddress  string    `json:"apiServerAddress"`
	PodSubnet         string    `json:"podSubnet"`
	ServiceSubnet     string    `json:"serviceSubnet"`
	DisableDefaultCNI bool      `json:"disableDefaultCNI"`
	KubeProxyMode     string    `json:"kubeProxyMode"`
	DNSSearch         *[]string `json:"dnsSearch"`
}

// fromKind makes a wish of a kind file. What is not as under kind: a cluster
// without a name is called kluster; two control planes are refused; a node
// image of kind's stands for its Kubernetes version; control planes take pods
// when there are no workers, however many there are; port -1 means a port that
// kluster picks, which stays the same; a kubeadm patch for an older version is
// used, unless the same list has one for a newer version; and a patch of a kind
// that does not exist, which kind ignores, is an error.
func fromKind(k kindCluster, p *problems) wish {
	w := wish{kind: true, from: fileSources()}
	w.Name, w.FeatureGates, w.RuntimeConfig = k.Name, k.FeatureGates, k.RuntimeConfig
	w.Networking = kindNetwork(k.Networking)
	w.patches = kindPatches(k.Kubeadm, k.KubeadmJSON, "", p)
	w.patches.Containerd = containerdPatches(numbered(k.Containerd, "containerdConfigPatches"), p)
	w.patches.ContainerdJSON6902 = containerdJSONPatches(numbered(k.ContainerdJSONs, "containerdConfigPatchesJSON6902"), p)
	for i, n := range k.Nodes {
		w.Nodes = append(w.Nodes, v1alpha1.Node{
			Role: n.Role, Image: n.Image, Labels: n.Labels,
			ExtraMounts: n.ExtraMounts, ExtraPortMappings: n.ExtraPortMappings,
		})
		w.nodePatches = append(w.nodePatches, kindPatches(n.Kubeadm, n.KubeadmJSON, item("nodes", i), p))
	}
	return w
}

func kindNetwork(k kindNetworking) v1alpha1.Networking {
	cni := ""
	if k.DisableDefaultCNI {
		cni = "none"
	}
	return v1alpha1.Networking{
		PodSubnet: k.PodSubnet, ServiceSubnet: k.ServiceSubnet, IPFamily: k.IPFamily,
		KubeProxyMode: k.KubeProxyMode, CNI: cni,
		APIServerAddress: k.APIServerAddress, APIServerPort: k.APIServerPort, DNSSearch: k.DNSSearch,
	}
}

// kindPatches are the kubeadm patches of the cluster (path "") or of a node.
func kindPatches(merge []string, json []kindJSON6902, path string, p *problems) Patches {
	return Patches{
		Kubeadm:         kubeadmPatches(numbered(merge, child(path, "kubeadmConfigPatches")), p),
		KubeadmJSON6902: kubeadmJSONPatches(json, child(path, "kubeadmConfigPatchesJSON6902"), p),
	}
}
