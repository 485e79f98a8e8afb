package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kluster-project/kluster/e2e/plan"
	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/status"
)

// refuseUnfit refuses what could be known to go wrong, or to have no effect, before
// anything is built.
func (r *run) refuseUnfit(context.Context, status.Step) error {
	if r.suite.Program == plan.Package && r.opt.Source != "" {
		return usageError(errors.New("--source: it says where Kubernetes' programs come from, and a suite of Go packages has none"), "leave it out")
	}
	if r.suite.OneNode && (len(r.opt.Create) != 1 || len(r.opt.Create[0].Nodes) != 1) {
		return usageError(fmt.Errorf("suite %s has a cluster of one node to itself, which is made for it", r.suite.Name), "give --create, and leave out --workers and --control-planes")
	}
	for _, cfg := range r.opt.Create {
		if free := open(cfg); free < r.suite.Nodes {
			return usageError(fmt.Errorf("suite %s needs %s that any pod may run on, and cluster %s would have %d", r.suite.Name, count(r.suite.Nodes, "node"), cfg.Name, free),
				fmt.Sprintf("give it more workers: --workers %d", r.suite.Nodes))
		}
	}
	return nil
}

// open is how many nodes of a cluster would take a pod without tolerations.
func open(cfg *config.Cluster) int {
	n := 0
	for _, node := range cfg.Nodes {
		if !slices.ContainsFunc(node.Taints, closes) {
			n++
		}
	}
	return n
}

func closes(t config.Taint) bool {
	return t.Effect == string(corev1.TaintEffectNoSchedule) || t.Effect == string(corev1.TaintEffectNoExecute)
}
