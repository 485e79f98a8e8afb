package plan

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/kluster-project/kluster/e2e/report"
)

// What the program of a suite finds in its environment, beside KUBECONFIG.
const (
	// ClusterEnv is the cluster's name.
	ClusterEnv = "KLUSTER_E2E_CLUSTER"
	// NodesEnv is a JSON list of the cluster's nodes, each with name, role, runtime,
	// kubelet, kernel and os.
	NodesEnv = "KLUSTER_E2E_NODES"
)

// Handover is the environment, NAME=VALUE, that tells a suite's program of its
// cluster. kubeconfig is an absolute path: programs run in folders of their own.
func (s Suite) Handover(kubeconfig string, cluster report.Cluster) ([]string, error) {
	nodes, err := json.Marshal(cluster.Nodes)
	if err != nil {
		return nil, fmt.Errorf("writing the list of nodes for suite %s: %w", s.Name, err)
	}
	var env []string
	if !s.MakesClusters {
		env = append(env, "KUBECONFIG="+kubeconfig, ClusterEnv+"="+cluster.Name, NodesEnv+"="+string(nodes))
	}
	for name, value := range s.Environment {
		env = append(env, name+"="+value)
	}
	slices.Sort(env)
	return env, nil
}
