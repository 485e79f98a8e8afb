package kubeadm

import (
	"maps"
	"strings"
)

// takeForeignLabels sets the kubelet's --node-labels in a node's registration to
// the labels that a patch put there and those of the configuration, and returns
// the ones a kubelet refuses to give to itself.
func takeForeignLabels(registration object, wanted map[string]string) map[string]string {
	all := maps.Clone(wanted)
	if all == nil {
		all = map[string]string{}
	}
	args, ok := argsOf(registration["kubeletExtraArgs"])
	if !ok {
		return all
	}
	if flag, ok := valueOf(args, "node-labels"); ok {
		for pair := range strings.SplitSeq(flag, ",") {
			if k, v, _ := strings.Cut(pair, "="); k != "" {
				all[k] = v
			}
		}
		args = override(args, []arg{{name: "node-labels"}})
		args = args[:len(args)-1]
	}
	foreign := map[string]string{}
	for k, v := range all {
		if !kubeletMaySet(k) {
			foreign[k] = v
			delete(all, k)
		}
	}
	if len(all) > 0 {
		args = append(args, arg{"node-labels", joinPairs(all)})
	}
	registration["kubeletExtraArgs"] = argList(args)
	return foreign
}

// kubeletLabels are the labels of Kubernetes' own namespaces that a kubelet may
// set (k8s.io/kubelet/pkg/apis, well_known_labels.go).
var kubeletLabels = map[string]bool{
	"kubernetes.io/hostname":                   true,
	"kubernetes.io/os":                         true,
	"kubernetes.io/arch":                       true,
	"node.kubernetes.io/instance-type":         true,
	"topology.kubernetes.io/zone":              true,
	"topology.kubernetes.io/region":            true,
	"failure-domain.beta.kubernetes.io/zone":   true,
	"failure-domain.beta.kubernetes.io/region": true,
	"beta.kubernetes.io/instance-type":         true,
	"beta.kubernetes.io/os":                    true,
	"beta.kubernetes.io/arch":                  true,
}

// kubeletMaySet says whether a kubelet may set a label on its own node: any
// outside of Kubernetes' namespaces, and some inside.
func kubeletMaySet(key string) bool {
	ns, _, ok := strings.Cut(key, "/")
	if !ok || kubeletLabels[key] || within(ns, "kubelet.kubernetes.io") || within(ns, "node.kubernetes.io") {
		return true
	}
	return !within(ns, "kubernetes.io") && !within(ns, "k8s.io")
}

// within says whether a label's namespace is domain or below it.
func within(ns, domain string) bool {
	return ns == domain || strings.HasSuffix(ns, "."+domain)
}
