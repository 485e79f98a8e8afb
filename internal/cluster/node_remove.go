package cluster

import (
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/provider"
)

// RemoveOptions say which nodes a cluster loses.
type RemoveOptions struct {
	Cluster string
	// Nodes are their names. One whose machine has gone already may still be known to
	// the API or to etcd.
	Nodes []string
	// Force also breaks etcd's quorum, deletes pods that nothing brings back, and volumes
	// of the node's own disk.
	Force bool
	// Timeout bounds the removal of each node, its drain included.
	Timeout time.Duration
	// OnStep, if not nil, hears each step's name before it runs.
	OnStep func(ctx context.Context, name string)
}

// Removed is what became of one node.
type Removed struct {
	Node    string  `json:"node"`
	Role    string  `json:"role"`
	Drained bool    `json:"drained"`
	Seconds float64 `json:"seconds"`
}

// removal is the removal of one node.
type removal struct {
	m        *Manager
	opt      RemoveOptions
	name     string
	machines []provider.Node
	had      []member
	node     *member // nil when its machine has gone
	client   kubernetes.Interface
	dynamic  dynamic.Interface

	swap      *swap // whose drain it is
	etcd      *etcd // nil without a member
	drained   bool
	isControl bool
}

// leavesEtcd is the step after which a node cannot come back.
const leavesEtcd = "etcd"

func removePlan() []changeStep[*removal] {
	return []changeStep[*removal]{
		{"check", "whatever forbids it is found before anything is changed", (*removal).check, nil},
		{"cordon", "no pod comes while others leave", silentChange((*removal).cordon), (*removal).uncordon},
		{"drain", "pods that can run elsewhere are evicted, as their disruption budgets allow", (*removal).drain, nil},
		{"API servers", "the nodes' proxies and the load balancer go elsewhere from now on", silentChange((*removal).leaveAPI), (*removal).returnToAPI},
		{"services", "its API server ends as it wants to: its clients are told to go elsewhere", silentChange((*removal).stopServices), (*removal).startServices},
		{leavesEtcd, "its member goes while it still runs, so that there is a quorum all the time", (*removal).leaveEtcd, nil},
		{"node", "the API forgets it", silentChange((*removal).forgetNode), nil},
		{"machine", "with its volumes", silentChange((*removal).removeMachine), nil},
		{"rest", "pods that were bound to it, and the load balancer's last sessions with it", silentChange((*removal).sweep), nil},
	}
}

// RemoveSteps names the steps of a removal, in order.
func RemoveSteps() []string {
	var names []string
	for _, s := range removePlan() {
		names = append(names, s.Name)
	}
	return names
}

// RemoveNodes takes nodes out of a cluster, one after the other. It says which are gone
// also when there is an error. Until a node's member of etcd has gone, a failure or an
// interruption leaves the node as it was, but for pods that were evicted; from then on it
// goes on to the end. What a removal that was killed has left the next one removes.
func (m *Manager) RemoveNodes(ctx context.Context, opt RemoveOptions) ([]Removed, error) {
	machines, err := m.existing(ctx, opt.Cluster)
	if err != nil {
		return nil, err
	}
	if err := leavesControlPlane(machines, opt.Nodes); err != nil {
		return nil, err
	}
	longest := time.Duration(len(opt.Nodes))*(opt.Timeout+changeBackTime) + rollbackTime
	_, unlock, err := m.lock(ctx, removeWork, opt.Cluster, machines, longest)
	if err != nil {
		return nil, err
	}
	defer unlock()
	var done []Removed
	for i, name := range opt.Nodes {
		if slices.Contains(opt.Nodes[:i], name) {
			continue // it is named twice
		}
		began := time.Now()
		r := &removal{m: m, opt: opt, name: name}
		if err := r.run(ctx); err != nil {
			return done, fmt.Errorf("node %s: %w", name, err)
		}
		done = append(done, Removed{Node: name, Role: r.role(), Drained: r.drained, Seconds: time.Since(began).Seconds()})
	}
	return done, nil
}

// leavesControlPlane refuses what no force can make sense of.
func leavesControlPlane(machines []provider.Node, names []string) error {
	left := 0
	for _, n := range machines {
		named := slices.Contains(names, n.Name)
		if named && isLoadBalancer(n) {
			return &inputError{fmt.Errorf("%s is the load balancer, which publishes the API", n.Name)}
		}
		if !named && isControlPlane(n) {
			left++
		}
	}
	if left > 0 {
		return nil
	}
	return &inputError{failure.With(fmt.Errorf("no control plane would be left"), failure.Hint("kluster delete removes the whole cluster"))}
}

func (r *removal) run(ctx context.Context) (err error) {
	whole := r.m.reporter.Step("removing "+r.name, 0)
	defer func() { whole.End(err) }()
	bounded, cancel := context.WithTimeoutCause(ctx, r.opt.Timeout, &lateSwapError{r.opt.Timeout})
	defer cancel()
	return (&change[*removal]{of: r, whole: whole, onStep: r.opt.OnStep, final: leavesEtcd}).run(bounded, removePlan())
}

func (r *removal) role() string {
	if r.isControl {
		return "control-plane"
	}
	return "worker"
}

// runs says whether the node's machine does.
func (r *removal) runs() bool { return r.node != nil && r.node.State == provider.StateRunning }

// others are the nodes that stay.
func (r *removal) others() []member {
	return slices.DeleteFunc(slices.Clone(r.had), func(n member) bool { return n.Name == r.name })
}
