package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/status"
	"github.com/kluster-project/kluster/provider"
)

// LifeVerb is something that happens to all machines of a cluster, or to some nodes.
type LifeVerb string

// The verbs.
const (
	Stop    LifeVerb = "stop"
	Start   LifeVerb = "start"
	Restart LifeVerb = "restart" // a stop and a start by the engine
	Reboot  LifeVerb = "reboot"  // by the node's own systemd; for named nodes only
	Pause   LifeVerb = "pause"
	Resume  LifeVerb = "resume"
)

// LifeOptions say what happens to what.
type LifeOptions struct {
	Verb    LifeVerb
	Cluster string
	// Nodes are their names; none for all machines of the cluster.
	Nodes []string
	// Force also takes etcd its quorum away.
	Force bool
	// Timeout bounds all of it, waits included; 0 is no bound.
	Timeout time.Duration
	// OnStep, if not nil, hears each step's name before it runs.
	OnStep func(ctx context.Context, name string)
}

// LifeResult is what became of a cluster or its nodes.
type LifeResult struct {
	Cluster string     `json:"cluster"`
	Verb    LifeVerb   `json:"verb"`
	Nodes   []NodeLife `json:"nodes"`
	Seconds float64    `json:"seconds"`
}

// NodeLife is what became of one machine.
type NodeLife struct {
	Node    string `json:"node"`
	Role    string `json:"role"`
	Before  string `json:"before"` // its state
	State   string `json:"state"`
	Changed bool   `json:"changed"`
	Ready   bool   `json:"ready"` // it was waited for, and takes pods
	// Seconds count from the first step that was about the node.
	Seconds float64 `json:"seconds"`
}

// Changed says whether anything was not so before.
func (r *LifeResult) Changed() bool {
	return slices.ContainsFunc(r.Nodes, func(n NodeLife) bool { return n.Changed })
}

// lifecycle is a verb under way.
type lifecycle struct {
	m        *Manager
	opt      LifeOptions
	plan     lifePlan
	machines []*machine // of the cluster
	chosen   []*machine // those that it is about
	turn     []*machine // those of them whose turn it is
	client   kubernetes.Interface
}

// machine is one of a cluster, with what became of it.
type machine struct {
	provider.Node
	life  NodeLife
	began time.Time
	// since is when it was started or let go on; zero if it was not.
	since   time.Time
	resumed bool // which leaves its programs as they are
}

// Life stops, starts or pauses a cluster or some of its nodes, and waits until those that
// run shall be Ready. What is so already stays so, and is no error. The result says what
// became of each also when there is an error. While another change of the cluster is under
// way it changes nothing and fails.
func (m *Manager) Life(ctx context.Context, opt LifeOptions) (*LifeResult, error) {
	began := time.Now()
	l, err := m.newLifecycle(ctx, opt)
	if err != nil {
		return nil, err
	}
	if opt.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, opt.Timeout, &lateLifeError{opt.Timeout})
		defer cancel()
	}
	unlock, err := l.lock(ctx)
	defer unlock()
	if err == nil {
		err = l.check(ctx)
	}
	if err == nil {
		err = l.endFaults(ctx)
	}
	if err == nil {
		err = l.run(ctx)
	}
	result := &LifeResult{Cluster: opt.Cluster, Verb: opt.Verb, Nodes: []NodeLife{}, Seconds: time.Since(began).Seconds()}
	for _, n := range l.chosen {
		n.life.State = string(n.State)
		n.life.Changed = n.life.Changed || n.life.State != n.life.Before
		result.Nodes = append(result.Nodes, n.life)
	}
	return result, err
}

// newLifecycle looks up what the verb is about.
func (m *Manager) newLifecycle(ctx context.Context, opt LifeOptions) (*lifecycle, error) {
	plan, ok := lifePlans()[opt.Verb]
	if !ok {
		return nil, &inputError{fmt.Errorf("no verb %q", opt.Verb)}
	}
	nodes, err := m.existing(ctx, opt.Cluster)
	if err != nil {
		return nil, err
	}
	l := &lifecycle{m: m, opt: opt, plan: plan}
	for _, n := range nodes {
		l.machines = append(l.machines, &machine{Node: n, life: NodeLife{
			Node: n.Name, Role: n.Labels[nodespec.LabelRole], Before: string(n.State),
		}})
	}
	l.chosen, err = l.choose()
	return l, err
}

// choose gives the machines that were named, each once, or all.
func (l *lifecycle) choose() ([]*machine, error) {
	if len(l.opt.Nodes) == 0 {
		return l.machines, nil
	}
	var chosen []*machine
	for _, name := range l.opt.Nodes {
		i := slices.IndexFunc(l.machines, func(n *machine) bool { return n.Name == name })
		if i < 0 {
			return nil, &NotFoundError{Kind: "node", Name: name, Known: namesOf(l.machines)}
		}
		if !slices.Contains(chosen, l.machines[i]) {
			chosen = append(chosen, l.machines[i])
		}
	}
	return chosen, nil
}

func namesOf(machines []*machine) []string {
	var names []string
	for _, n := range machines {
		names = append(names, n.Name)
	}
	return names
}

// check sees that nothing forbids it, before anything is changed.
func (l *lifecycle) check(ctx context.Context) error {
	for _, n := range l.chosen {
		if err := l.forbids(n); err != nil {
			return err
		}
	}
	return l.keepsQuorum(ctx)
}

// forbids says what about a single machine forbids the verb.
func (l *lifecycle) forbids(n *machine) error {
	switch {
	case l.opt.Verb != Reboot:
		return nil
	case isLoadBalancer(n.Node):
		return &inputError{failure.With(fmt.Errorf("%s is the load balancer, which has no systemd", n.Name),
			failure.Hint("kluster node restart %s", n.Name))}
	case n.State != provider.StateRunning && n.State != provider.StatePaused:
		return unfitError(fmt.Errorf("%s is %s, and cannot reboot itself", n.Name, n.State), "kluster node start %s", n.Name)
	}
	return nil
}

// run lets all chosen machines go through the plan together, or one after the other.
func (l *lifecycle) run(ctx context.Context) error {
	turns := [][]*machine{l.chosen}
	if l.plan.inTurn && len(l.opt.Nodes) > 0 {
		turns = nil
		for _, n := range l.chosen {
			turns = append(turns, []*machine{n})
		}
	}
	for _, l.turn = range turns {
		for _, step := range l.plan.steps {
			if err := l.runStep(ctx, step); err != nil {
				return fmt.Errorf("%s %s: %s: %w", l.plan.doing, l.about(), step.Name, err)
			}
		}
	}
	return nil
}

// about names what the verb is about now.
func (l *lifecycle) about() string {
	if len(l.opt.Nodes) == 0 {
		return l.opt.Cluster
	}
	return strings.Join(namesOf(l.turn), ", ")
}

func (l *lifecycle) runStep(ctx context.Context, step lifeStep) error {
	if step.of != nil && !slices.ContainsFunc(l.turn, step.of) {
		return nil
	}
	if l.opt.OnStep != nil {
		l.opt.OnStep(ctx, step.Name)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	part := l.m.reporter.Step(step.Name+" "+l.about(), 0)
	err := step.run(l, ctx, part)
	if err != nil && ctx.Err() != nil {
		err = causeOf(ctx, err)
	}
	part.End(err)
	return err
}

// each does something with all machines at once whose turn it is, and which it is for.
// One that fails does not keep it from the others.
func (l *lifecycle) each(of func(*machine) bool, do func(*machine) error) error {
	errs := make(chan error, len(l.turn))
	for _, n := range l.turn {
		if of != nil && !of(n) {
			errs <- nil
			continue
		}
		if n.began.IsZero() {
			n.began = time.Now()
		}
		go func() {
			err := do(n)
			n.life.Seconds = time.Since(n.began).Seconds()
			errs <- err
		}()
	}
	var all []error
	for range l.turn {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}

// silentLife is a step that has nothing to tell while it runs.
func silentLife(run func(*lifecycle, context.Context) error) func(*lifecycle, context.Context, status.Step) error {
	return func(l *lifecycle, ctx context.Context, _ status.Step) error { return run(l, ctx) }
}
