package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/status"
	"github.com/kluster-project/kluster/internal/trace"
)

// Step is one named part of a plan.
type Step struct {
	// Name is what the user sees: an object or an act, in a few words.
	Name string
	// Why is one sentence for whoever lists the plan.
	Why string
	// After names the steps that must have ended before; they stand earlier in
	// the plan.
	After []string
	// waits says that the step waits for the cluster, and so ends with
	// CreateOptions.Wait, which counts from the first such step.
	waits bool
	run   func(c *creation, ctx context.Context, step status.Step) error
}

// createPlan is a create. What does not need another step's result runs beside
// it: most of a create is waiting for programs that start.
func createPlan() []Step {
	return []Step{
		{"host", "the engine is reachable and fit", nil, false, silent((*creation).checkHost)},
		{"node image", "built, or found in the engine", []string{"host"}, false, (*creation).ensureImage},
		{"name", "the load balancer's container is the lock on the cluster's name", []string{"node image"}, false, silent((*creation).reserveName)},
		{"network", "one per cluster, so that addresses are fixed", []string{"name"}, false, silent((*creation).createNetwork)},
		{"certificates", "made here, so that no node waits for another", []string{"network"}, false, silent((*creation).makeCertificates)},
		{"nodes", "all at once, each with its files before its first start", []string{"certificates"}, true, silent((*creation).createNodes)},
		{"control plane", "all control planes at once, etcd knowing every member from the start", []string{"nodes"}, true, silent((*creation).waitControlPlanes)},
		{"API", "the first API server is ready behind the load balancer", []string{"nodes"}, true, silent((*creation).waitAPI)},
		{"add-ons", "roles of the pod network", []string{"API"}, true, silent((*creation).installAddons)},
		{"readiness", "every node Ready and a pod resolves kubernetes.default", []string{"API"}, true, (*creation).waitReady},
		{"storage", "the default storage class, when the pods of cluster DNS run", []string{"API"}, true, silent((*creation).installLate)},
		{registriesShare, "the local registry and the caches, which outlive clusters, on the network", []string{"network"}, false, (*creation).shareRegistries},
		{addonArtifacts, "images and manifests of the add-ons that were asked for, built if need be", []string{"host"}, false, (*creation).prepareAddons},
		{addonInstall, "those that were asked for, each when the ones it requires work", []string{"readiness", "storage", addonArtifacts}, false, (*creation).installChosen},
		{"labels", "those that kubelets may not give to their own nodes, after kubeadm has given its own", []string{"control plane", "API"}, true, silent((*creation).labelNodes)},
		{"kubeconfig", "merged last, when the cluster can be used", []string{"add-ons", "readiness", "storage", "labels", addonInstall, registriesShare}, false, (*creation).writeKubeconfig},
	}
}

// The steps of a create that has add-ons to install, or registries to share.
const (
	addonArtifacts  = "artifacts of add-ons"
	addonInstall    = "chosen add-ons"
	registriesShare = "registries"
)

// plan is createPlan without what this cluster has no use for.
func (c *creation) plan() []Step {
	return slices.DeleteFunc(createPlan(), func(s Step) bool {
		switch s.Name {
		case addonArtifacts, addonInstall:
			return len(c.cfg.Addons) == 0
		case registriesShare:
			return len(registrySpecs(c.cfg.Registries)) == 0
		}
		return false
	})
}

// silent is a step that has nothing to tell while it runs.
func silent(run func(*creation, context.Context) error) func(*creation, context.Context, status.Step) error {
	return func(c *creation, ctx context.Context, _ status.Step) error { return run(c, ctx) }
}

// Steps names the steps that every create has, in order.
func Steps() []string {
	var names []string
	for _, s := range (&creation{cfg: &config.Cluster{}}).plan() {
		names = append(names, s.Name)
	}
	return names
}

// runPlan runs each step as soon as those before it have ended. When one fails
// or ctx ends, those that run are told to end and no other begins. The error is
// that of the step that failed first, and names it; when time is up it is those
// of all steps that were waiting.
func runPlan(ctx context.Context, plan []Step, c *creation) error {
	group, ctx := errgroup.WithContext(ctx)
	errs := make([]error, len(plan))
	bounded, release := c.boundedBy(ctx)
	defer release()
	ended := map[string]chan struct{}{}
	for _, s := range plan {
		ended[s.Name] = make(chan struct{})
	}
	for i, s := range plan {
		group.Go(func() error {
			for _, name := range s.After {
				if ended[name] == nil {
					continue // it is not in this plan
				}
				select {
				case <-ended[name]:
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			}
			now := ctx
			if s.waits {
				now = bounded()
			}
			if err := c.runStep(now, s); err != nil {
				errs[i] = fmt.Errorf("%s: %w", s.Name, err)
				return errs[i]
			}
			close(ended[s.Name])
			return nil
		})
	}
	err := group.Wait()
	if isTimeout(err) {
		return errors.Join(slices.DeleteFunc(errs, func(err error) bool { return !isTimeout(err) })...)
	}
	return err
}

func isTimeout(err error) bool {
	var late *timeoutError
	return errors.As(err, &late)
}

// boundedBy gives ctx with the end that CreateOptions.Wait sets, which counts
// from the first call, and that of the engine's disk. release frees what that takes.
func (c *creation) boundedBy(ctx context.Context) (bounded func() context.Context, release func()) {
	ctx, release = context.WithCancel(ctx)
	return sync.OnceValue(func() context.Context {
		late, cancel := context.WithTimeoutCause(ctx, c.opt.Wait, &timeoutError{c.opt.Wait})
		context.AfterFunc(ctx, cancel)
		return c.whileSpace(late)
	}), release
}

func (c *creation) runStep(ctx context.Context, s Step) error {
	if c.opt.OnStep != nil {
		c.opt.OnStep(ctx, s.Name)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	step := c.m.reporter.Step(s.Name, 0)
	span := trace.Start(ctx, trace.Step, "plan", s.Name)
	ctx = trace.Within(ctx, s.Name)
	err := s.run(c, ctx, step)
	if err != nil && ctx.Err() != nil {
		err = causeOf(ctx, err)
	}
	span.EndWith(err)
	step.End(err)
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
