package cluster

import (
	"context"
	"errors"
	"fmt"

	"github.com/kluster-project/kluster/internal/trace"
)

// Step is one named part of a plan.
type Step struct {
	// Name is what the user sees: an object or an act, in a few words.
	Name string
	// Why is one sentence for whoever lists the plan.
	Why string
	// waits says that the step waits for the cluster, and so ends with
	// CreateOptions.Wait, which counts from the first such step.
	waits bool
	run   func(c *creation, ctx context.Context) error
}

// createPlan is a create, in order. Each step may rely on those before it.
func createPlan() []Step {
	return []Step{
		{"host", "the engine is reachable and fit", false, (*creation).checkHost},
		{"node image", "built, or found in the engine", false, (*creation).ensureImage},
		{"name", "the load balancer's container is the lock on the cluster's name", false, (*creation).reserveName},
		{"network", "one per cluster, so that addresses are fixed", false, (*creation).createNetwork},
		{"certificates", "made here, so that no node waits for another", false, (*creation).makeCertificates},
		{"nodes", "all at once, each with its files before its first start", true, (*creation).createNodes},
		{"control plane", "all control planes at once, etcd knowing every member from the start", true, (*creation).startControlPlanes},
		{"workers", "kubelets start with their certificates in place: no join", true, (*creation).startWorkers},
		{"add-ons", "roles of the pod network, the default storage class, labels", true, (*creation).installAddons},
		{"readiness", "every node Ready and a pod resolves kubernetes.default", true, (*creation).waitReady},
		{"kubeconfig", "merged last, when the cluster can be used", false, (*creation).writeKubeconfig},
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
	var bounded context.Context
	for _, s := range plan {
		now := ctx
		if s.waits {
			if bounded == nil {
				var cancel context.CancelFunc
				bounded, cancel = context.WithTimeoutCause(ctx, c.opt.Wait, &timeoutError{c.opt.Wait})
				defer cancel()
			}
			now = bounded
		}
		if err := c.runStep(now, s); err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
	}
	return nil
}

func (c *creation) runStep(ctx context.Context, s Step) error {
	if c.opt.OnStep != nil {
		c.opt.OnStep(ctx, s.Name)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	c.step = c.m.reporter.Step(s.Name, 0)
	span := trace.Start(ctx, trace.Step, "plan", s.Name)
	c.observe(ctx)
	err := s.run(c, ctx)
	if err != nil && ctx.Err() != nil {
		err = causeOf(ctx, err)
	}
	span.EndWith(err)
	c.step.End(err)
	return err
}

// causeOf makes sure that an error of a context that has ended says why it has:
// libraries say "context canceled" or "deadline exceeded" at best.
func causeOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}
