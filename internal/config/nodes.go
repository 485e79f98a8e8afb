package config

import (
	"slices"

	"github.com/kluster-project/kluster/configs/v1alpha1"
	"github.com/kluster-project/kluster/internal/nodespec"
)

// controlPlaneTaint is the taint kubeadm gives a control plane.
var controlPlaneTaint = Taint{Key: "node-role.kubernetes.io/control-plane", Effect: "NoSchedule"}

var nodeRoles = []string{string(nodespec.RoleControlPlane), string(nodespec.RoleWorker)}

// resolveNodes gives every node its name and its settings, control planes
// first.
func resolveNodes(w *wish, c *Cluster, o Options, p *problems) {
	byRole, counts, total := map[nodespec.Role][]Node{}, map[nodespec.Role]int{}, 0
	for i, spec := range w.Nodes {
		field := item("nodes", i)
		role, ok := roleOf(spec, field, p)
		count := countOf(spec, field, p)
		n := resolveNode(w, spec, field, o, p)
		n.Runtime, n.OCIRuntime = nodeRuntimes(spec, c, field, o, p)
		if !ok {
			continue
		}
		if i < len(w.nodePatches) {
			n.Patches = w.nodePatches[i]
		}
		n.Role = role
		counts[role] += count
		if total += count; total <= MaxNodes {
			byRole[role] = append(byRole[role], slices.Repeat([]Node{n}, count)...)
		}
	}
	for _, role := range []nodespec.Role{nodespec.RoleControlPlane, nodespec.RoleWorker} {
		for i, n := range byRole[role] {
			n.Name = NodeName(c.Name, role, i+1)
			c.Nodes = append(c.Nodes, n)
		}
	}
	workers := counts[nodespec.RoleWorker]
	checkCounts(w, counts[nodespec.RoleControlPlane], workers, p)
	schedule(c.Nodes, workers == 0 || w.shorthand)
}

func roleOf(spec v1alpha1.Node, field string, p *problems) (nodespec.Role, bool) {
	if spec.Role == "" {
		return nodespec.RoleControlPlane, true
	}
	if !slices.Contains(nodeRoles, spec.Role) {
		p.add(field+".role", nearestOrAll(spec.Role, nodeRoles), "no role %q", shorten(spec.Role))
		return "", false
	}
	return nodespec.Role(spec.Role), true
}

// countOf bounds the count, so that a wrong one costs nothing.
func countOf(spec v1alpha1.Node, field string, p *problems) int {
	if spec.Count == nil {
		return 1
	}
	if n := *spec.Count; n >= 1 && n <= MaxNodes {
		return n
	}
	p.add(field+".count", "", "must be from 1 to %d, not %d", MaxNodes, *spec.Count)
	return 1
}

func checkCounts(w *wish, controlPlanes, workers int, p *problems) {
	if n := controlPlanes + workers; n > MaxNodes {
		p.add(w.from.nodes, "", "a cluster has at most %d nodes, not %d", MaxNodes, n)
	}
	switch {
	case controlPlanes == 0 && len(p.list) == 0:
		p.add(w.from.nodes, "add one with role: control-plane", "no control plane among the nodes")
	case controlPlanes == 2:
		p.add(w.from.nodes, "use 1 or 3", "two control planes are not supported: etcd needs both of them, so the loss of either one stops the cluster")
	}
}

// schedule settles which control planes take pods: those with taints of their
// own keep these, the others take pods if open.
func schedule(nodes []Node, open bool) {
	for i := range nodes {
		n := &nodes[i]
		if n.Role != nodespec.RoleControlPlane {
			continue
		}
		if n.Taints == nil && !open {
			n.Taints = []Taint{controlPlaneTaint}
		}
		n.KeepExcludeLB = slices.Contains(n.Taints, controlPlaneTaint)
	}
	for i := range nodes {
		if len(nodes[i].Taints) == 0 {
			nodes[i].Taints = nil
		}
	}
}
