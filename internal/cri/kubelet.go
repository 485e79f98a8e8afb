package cri

import (
	"fmt"

	"sigs.k8s.io/yaml"
)

// KubeletDropIn is the drop-in that gives the kubelet of a version of Kubernetes
// ("v1.36.3") the feature gates it must have beside the runtime; nil if there are
// none.
func (r Runtime) KubeletDropIn(kubernetes string) ([]byte, error) {
	gates := r.KubeletGates(kubernetes)
	if len(gates) == 0 {
		return nil, nil
	}
	text, err := yaml.Marshal(map[string]any{
		"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", "featureGates": gates,
	})
	if err != nil {
		return nil, fmt.Errorf("encoding the kubelet's feature gates for %s: %w", r.Name, err)
	}
	return text, nil
}
