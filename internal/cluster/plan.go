package cluster

import (
	"context"
	"fmt"
)

// Step is one named part of a plan.
type Step struct {
	// Name is what the user sees: an object or an act, in a few words.
	Name string
	// Why is one sentence for whoever lists the plan.
	Why string
	run func(c *creation, ctx context.Context) error
}

// createPlan is a create, in order. Each step may rely on those before it.
func createPlan() []Step {
	return []Step{
		{"host", "the engine is reachable and fit", (*creation).checkHost},
		{"node image", "built, or found in the engine", (*creation).ensureImage},
		{"name", "the load balancer's container is the lock on the cluster's name", (*creation).reserveName},
		{"network", "one per cluster, so that addresses are fixed", (*creation).createNetwork},
		{"certificates", "made here, so that no node waits for another", (*creation).makeCertificates},
		{"nodes", "all at once, each with its files before its first start", (*creation).createNodes},
		{"control plane", "all control planes at once, etcd knowing every member from the start", (*creation).startControlPlanes},
		{"workers", "kubelets start with their certificates in place: no join", (*creation).startWorkers},
		{"add-ons", "roles of the pod network, the default storage class, labels", (*creation).installAddons},
		{"readiness", "every node Ready and a pod resolves kubernetes.default", (*creation).waitReady},
		{"kubeconfig", "merged last, when the cluster can be used", (*creation).writeKubeconfig},
	}
}

// Steps names the steps of a create, in order.
func Steps() []string {
	var names []string
	for _, s := range createPlan() {
		names = append(names, s.Name)
	}
	return names
}

// runPlan runs the steps in order and stops at the first that fails or when ctx
// ends. The error names the step.
func runPlan(ctx context.Context, plan []Step, c *creation) error {
	for _, s := range plan {
		if c.opt.OnStep != nil {
			c.opt.OnStep(s.Name)
		}
		if err := context.Cause(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		c.step = c.m.reporter.Step(s.Name, 0)
		err := s.run(c, ctx)
		c.step.End(err)
		if err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
	}
	return nil
}
