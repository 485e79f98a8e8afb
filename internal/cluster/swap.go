package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/status"
	"github.com/kluster-project/kluster/provider"
)

// SwapOptions say which nodes of a cluster get which container runtime.
type SwapOptions struct {
	Cluster string
	// Nodes are their names; none for all nodes.
	Nodes []string
	// Runtime and OCIRuntime are what they get. Without an OCI runtime each keeps
	// its own.
	Runtime, OCIRuntime string
	// Force also swaps the only node of a cluster, and deletes pods that nothing
	// brings back.
	Force bool
	// Timeout bounds the swap of each node.
	Timeout time.Duration
	// OnStep, if not nil, hears each step's name before it runs.
	OnStep func(ctx context.Context, name string)
}

// Swapped is what became of one node.
type Swapped struct {
	Node    string  `json:"node"`
	From    string  `json:"from"` // "containerd with runc"
	To      string  `json:"to"`
	Swapped bool    `json:"swapped"` // false where it had that already
	Seconds float64 `json:"seconds"`
}

// choice is a container runtime with an OCI runtime.
type choice struct {
	runtime cri.Runtime
	oci     string // as it is recorded: "" for the default
}

func (c choice) String() string { return c.runtime.Name + " with " + ociName(c.oci) }

// ociName is the name of an OCI runtime, that of the default for "".
func ociName(name string) string {
	oci, err := cri.GetOCI(name)
	if err != nil {
		return name
	}
	return oci.Name
}

// same says whether two choices are one.
func (c choice) same(other choice) bool { return c.String() == other.String() }

// swap is the change of one node's container runtime.
type swap struct {
	m       *Manager
	opt     SwapOptions
	cluster []provider.Node // its machines
	node    provider.Node
	from    choice
	to      choice
	classes []string // the OCI runtimes of its image
	client  kubernetes.Interface
	dynamic dynamic.Interface

	cordoned bool      // by us
	started  time.Time // when the kubelet was told to
}

// swapStep is one part of a swap, and what takes it back. A step that failed may have
// done a part, so it is taken back too.
type swapStep struct {
	Name, Why string
	run       func(*swap, context.Context, status.Step) error
	undo      func(*swap, context.Context) error
}

// swapPlan is the swap of one node. Until its record is written, a restart of the node
// brings back what it had.
func swapPlan() []swapStep {
	return []swapStep{
		{"check", "whatever forbids it is found before anything is changed", (*swap).check, nil},
		{"cordon", "no pod comes while others leave", silentSwap((*swap).cordon), (*swap).uncordon},
		{"drain", "pods that can run elsewhere are evicted, as their disruption budgets allow", (*swap).drain, nil},
		{"kubelet stop", "it would start again what is stopped next", silentSwap((*swap).stopKubelet), (*swap).restore},
		{"runtime stop", "with the pods that are left: static ones and those of daemon sets", silentSwap((*swap).stopRuntime), nil},
		{"configuration", "of the new runtime and of the kubelet beside it", silentSwap((*swap).configure), nil},
		{"runtime start", "until its socket answers", silentSwap((*swap).startRuntime), nil},
		{"kubelet start", "it starts all pods of the node anew", silentSwap((*swap).startKubelet), nil},
		{"readiness", "the node is Ready with the new runtime, and its API server if it has one", (*swap).waitNew, nil},
		{"labels", "pods find the OCI runtimes that they can pick", silentSwap((*swap).label), (*swap).labelBack},
		{"record", "what the node starts with from now on", silentSwap((*swap).record), (*swap).recordBack},
		{"uncordon", "pods may come again", silentSwap((*swap).uncordon), nil},
	}
}

// silentSwap is a step that has nothing to tell while it runs.
func silentSwap(run func(*swap, context.Context) error) func(*swap, context.Context, status.Step) error {
	return func(s *swap, ctx context.Context, _ status.Step) error { return run(s, ctx) }
}

// SwapRuntime gives nodes another container runtime, one after the other. A node whose
// swap fails gets back what it had, and those after it are left as they are. It says
// what became of each node also when there is an error. While another swap of the
// cluster is under way it changes nothing and fails.
func (m *Manager) SwapRuntime(ctx context.Context, opt SwapOptions) ([]Swapped, error) {
	runtime, err := opt.wanted()
	if err != nil {
		return nil, err
	}
	targets, err := m.loadTargets(ctx, opt.Cluster, opt.Nodes)
	if err != nil {
		return nil, err
	}
	machines, err := m.existing(ctx, opt.Cluster)
	if err != nil {
		return nil, err
	}
	_, unlock, err := m.lock(ctx, swapWork, opt.Cluster, machines, opt.longest(len(targets)))
	if err != nil {
		return nil, err
	}
	defer unlock()
	// What the nodes have is looked up only now: another swap may just have ended.
	swaps, err := m.swaps(ctx, opt, runtime, targets, machines)
	if err != nil {
		return nil, err
	}
	// Reasons against any of them are found before the first is touched.
	for _, s := range swaps {
		if err := s.refuseInTime(ctx); err != nil {
			return nil, fmt.Errorf("%w; nothing was changed", err)
		}
	}
	var done []Swapped
	for _, s := range swaps {
		began := time.Now()
		result := Swapped{Node: s.node.Name, From: s.from.String(), To: s.to.String(), Swapped: !s.from.same(s.to)}
		if !result.Swapped {
			m.reporter.Note("%s has %s already", s.node.Name, s.to)
		} else if err := s.run(ctx); err != nil {
			return done, err
		}
		result.Seconds = time.Since(began).Seconds()
		done = append(done, result)
	}
	return done, nil
}

// longest bounds the time that a swap of so many nodes takes, whatever happens.
func (o SwapOptions) longest(nodes int) time.Duration {
	each := 2 * o.Timeout // the look before the first is touched, and the swap
	return time.Duration(nodes)*each + swapBackTime + rollbackTime
}

// wanted is the container runtime that is asked for, if that and the OCI runtime exist.
func (o SwapOptions) wanted() (cri.Runtime, error) {
	runtime, err := cri.Get(o.Runtime)
	if err != nil {
		return cri.Runtime{}, &inputError{err}
	}
	if _, err := cri.GetOCI(o.OCIRuntime); err != nil {
		return cri.Runtime{}, &inputError{err}
	}
	return runtime, nil
}

// swaps prepares the swap of every node that is asked for, of the cluster's machines.
func (m *Manager) swaps(ctx context.Context, opt SwapOptions, runtime cri.Runtime, targets, machines []provider.Node) ([]*swap, error) {
	conf, err := m.Kubeconfig(ctx, opt.Cluster, false)
	if err != nil {
		return nil, err
	}
	client, other, err := m.clients(conf)
	if err != nil {
		return nil, err
	}
	var swaps []*swap
	for _, n := range targets {
		if slices.ContainsFunc(swaps, func(s *swap) bool { return s.node.ID == n.ID }) {
			continue // it is named twice
		}
		s := &swap{
			m: m, opt: opt, node: n, client: client, dynamic: other,
			cluster: slices.DeleteFunc(slices.Clone(machines), isLoadBalancer),
		}
		if err := s.choose(ctx, runtime); err != nil {
			return nil, err
		}
		swaps = append(swaps, s)
	}
	return swaps, nil
}

// choose settles what the node has and what it is to get.
func (s *swap) choose(ctx context.Context, runtime cri.Runtime) error {
	told, err := s.m.told(ctx, s.node)
	if err != nil {
		return err
	}
	s.from.oci, s.to = told.OCIRuntime, choice{runtime, told.OCIRuntime}
	if s.from.runtime, err = cri.Get(told.Runtime); err != nil {
		return err
	}
	if s.opt.OCIRuntime != "" {
		s.to.oci = s.opt.OCIRuntime
	}
	return nil
}

// run does the plan, or takes back what was done of it.
func (s *swap) run(ctx context.Context) (err error) {
	whole := s.m.reporter.Step(s.node.Name+" to "+s.to.String(), 0)
	defer func() { whole.End(err) }()
	bounded, cancel := context.WithTimeoutCause(ctx, s.opt.Timeout, &lateSwapError{s.opt.Timeout})
	defer cancel()
	plan := swapPlan()
	for i, step := range plan {
		if err := s.runStep(bounded, whole, step); err != nil {
			return s.takeBack(ctx, whole, plan[:i+1], fmt.Errorf("node %s: %s: %w", s.node.Name, step.Name, err))
		}
	}
	return nil
}

func (s *swap) runStep(ctx context.Context, whole status.Step, step swapStep) error {
	if s.opt.OnStep != nil {
		s.opt.OnStep(ctx, step.Name)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	part := whole.Step(step.Name, 0)
	err := step.run(s, ctx, part)
	if err != nil && ctx.Err() != nil {
		err = causeOf(ctx, err)
	}
	part.End(err)
	return err
}

// swapBackTime bounds the way back, which has a context of its own, since the swap's
// may have ended.
const swapBackTime = 5 * time.Minute

// takeBack undoes steps, the last one first, and says in which state the node is.
func (s *swap) takeBack(ctx context.Context, whole status.Step, steps []swapStep, err error) error {
	if !slices.ContainsFunc(steps, func(step swapStep) bool { return step.undo != nil }) {
		return fmt.Errorf("%w; the node is as it was", err)
	}
	back, cancel := context.WithTimeout(context.WithoutCancel(ctx), swapBackTime)
	defer cancel()
	part := whole.Step("the way back to "+s.from.String(), 0)
	var failed []error
	for _, step := range slices.Backward(steps) {
		if step.undo == nil {
			continue
		}
		if e := step.undo(s, back); e != nil {
			failed = append(failed, fmt.Errorf("taking back %q: %w", step.Name, e))
		}
	}
	problem := errors.Join(failed...)
	part.End(problem)
	if problem == nil {
		return fmt.Errorf("%w; the node has %s as before", err, s.from)
	}
	return failure.With(errors.Join(err, problem), failure.Hint("%s", s.byHand()))
}

// restoreCommand makes a node again what its record says.
var restoreCommand = []string{"kluster-node", "runtime", "restore"}

// byHand says how to bring the node back.
func (s *swap) byHand() string {
	return fmt.Sprintf("to bring the node back to %s: kluster exec %s -- %s; then: kluster kubectl -- uncordon %s",
		s.from, s.node.Name, strings.Join(restoreCommand, " "), s.node.Name)
}

// isControlPlane says whether a machine is one.
func isControlPlane(n provider.Node) bool {
	return n.Labels[nodespec.LabelRole] == string(nodespec.RoleControlPlane)
}
