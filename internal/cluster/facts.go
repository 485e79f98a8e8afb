package cluster

import (
	"encoding/json"
	"fmt"
	"net/netip"

	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

// facts are what later verbs must know of a cluster. They are a label of every
// node, and so hold no secrets.
type facts struct {
	Kubernetes string         `json:"kubernetes"`
	Runtime    string         `json:"runtime"` // the node's own
	Subnets    []netip.Prefix `json:"subnets"`
	Ephemeral  bool           `json:"ephemeral,omitempty"`
	Hardened   bool           `json:"hardened,omitempty"`
	// Kubeconfig is the absolute path of the file that the create merged its
	// entry into.
	Kubeconfig string `json:"kubeconfig,omitempty"`
}

func (f facts) label() (string, error) {
	b, err := json.Marshal(f)
	if err != nil {
		return "", fmt.Errorf("encoding the cluster's facts: %w", err)
	}
	return string(b), nil
}

// factsOf reads the facts off any of a cluster's nodes.
func factsOf(nodes []provider.Node) (facts, error) {
	for _, n := range nodes {
		if s, ok := n.Labels[nodespec.LabelSpec]; ok {
			var f facts
			if err := json.Unmarshal([]byte(s), &f); err != nil {
				return facts{}, fmt.Errorf("reading label %s of %s: %w", nodespec.LabelSpec, n.Name, err)
			}
			return f, nil
		}
	}
	return facts{}, fmt.Errorf("no node carries label %s", nodespec.LabelSpec)
}
