package preflight

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// controlPlaneTaint is the taint that Kubernetes' suite expects: it neither counts
// such nodes nor waits for them to lose it.
const controlPlaneTaint = "node-role.kubernetes.io/control-plane"

// ready sees that all nodes are, but for those that nobody counts on.
func (e *examination) ready(context.Context) []Problem {
	var names, why []string
	for _, n := range e.nodes {
		if reason := notReady(n); reason != "" && !n.Spec.Unschedulable {
			names = append(names, n.Name)
			why = append(why, n.Name+": "+reason)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return []Problem{{
		e.severe(), fmt.Sprintf("%d of %d nodes are not Ready", len(names), len(e.nodes)), strings.Join(why, "; "),
		"see why: kubectl describe node " + names[0],
	}}
}

func notReady(n corev1.Node) string {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			if c.Status == corev1.ConditionTrue {
				return ""
			}
			return strings.TrimSpace(c.Reason + " " + c.Message)
		}
	}
	return "no status yet"
}

// room sees that enough nodes take a pod without tolerations.
func (e *examination) room(context.Context) []Problem {
	free := 0
	var others []string
	for _, n := range e.nodes {
		if why := closed(n); why != "" {
			others = append(others, n.Name+" "+why)
		} else {
			free++
		}
	}
	if free >= e.Suite.Nodes {
		return nil
	}
	return []Problem{{
		Error, fmt.Sprintf("suite %s needs %d nodes that any pod may run on, and the cluster has %d", e.Suite.Name, e.Suite.Nodes, free), strings.Join(others, ", "),
		fmt.Sprintf("use a cluster with %d workers (kluster create --workers %d), or take the other nodes' taints away", e.Suite.Nodes, e.Suite.Nodes),
	}}
}

// closed says why a pod without tolerations cannot go to a node; "" if it can.
func closed(n corev1.Node) string {
	switch {
	case n.Spec.Unschedulable:
		return "is cordoned"
	case notReady(n) != "":
		return "is not Ready"
	}
	for _, taint := range n.Spec.Taints {
		if forbids(taint) {
			return "has the taint " + taint.ToString()
		}
	}
	return ""
}

func forbids(t corev1.Taint) bool {
	return t.Effect == corev1.TaintEffectNoSchedule || t.Effect == corev1.TaintEffectNoExecute
}

// blocked finds the taints for whose end Kubernetes' suite waits before it starts.
// Those of a node that is not Ready are its trouble's signs.
func (e *examination) blocked(context.Context) []Problem {
	if !e.upstream() {
		return nil
	}
	var problems []Problem
	for _, n := range e.nodes {
		if n.Spec.Unschedulable || notReady(n) != "" {
			continue
		}
		for _, taint := range n.Spec.Taints {
			if forbids(taint) && taint.Key != controlPlaneTaint {
				problems = append(problems, Problem{
					Error, fmt.Sprintf("node %s has the taint %s", n.Name, taint.ToString()),
					"Kubernetes' suite does not start while a node has one that it does not know",
					fmt.Sprintf("kubectl taint node %s %s:%s-", n.Name, taint.Key, taint.Effect),
				})
			}
		}
	}
	return problems
}

// kubelets sees that they are of the server's version: specs that need a newer one
// are skipped, and a skipped spec has not passed.
func (e *examination) kubelets(context.Context) []Problem {
	if !e.upstream() {
		return nil
	}
	var others []string
	for _, n := range e.nodes {
		if v := n.Status.NodeInfo.KubeletVersion; v != "" && v != e.server {
			others = append(others, fmt.Sprintf("%s (%s)", n.Name, v))
		}
	}
	if len(others) == 0 {
		return nil
	}
	return []Problem{{
		Warning, fmt.Sprintf("kubelets are not of the API server's version %s: %s", e.server, strings.Join(others, ", ")),
		"specs that need a newer kubelet are skipped", "use a cluster whose nodes are all of one version",
	}}
}
