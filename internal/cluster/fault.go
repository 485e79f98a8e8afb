package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/fault"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/wait"
	"github.com/kluster-project/kluster/provider"
)

const (
	// faultExecTime bounds one exchange with a node about its faults.
	faultExecTime = time.Minute
	// faultListTime bounds the question which faults a node has.
	faultListTime = 20 * time.Second
	// faultUndoTime bounds the undoing of a fault that is undone at once.
	faultUndoTime = 30 * time.Second
	// faultPatience is how much later than it should a fault may be undone.
	faultPatience = time.Minute
)

// hurt is a fault under way: what was asked for, and the machines that it is about.
type hurt struct {
	m    *Manager
	info fault.Info
	fault.Active
	targets  []provider.Node
	machines []provider.Node // of the cluster
}

// carriers begin a fault by where its undo waits. They return when it holds, and leave
// nothing of one that they fail to begin.
var carriers = map[fault.Undo]func(*hurt, context.Context) error{
	fault.ByNode:  (*hurt).inNodes,
	fault.ByGuard: (*hurt).underGuard,
}

// Fault begins a fault in a cluster and returns when it holds. It is undone when its
// time is up, whatever becomes of this process. A fault that cannot be done is refused
// before anything is changed.
func (m *Manager) Fault(ctx context.Context, cluster string, spec fault.Spec) (*fault.Active, error) {
	spec, err := spec.Complete()
	if err != nil {
		return nil, err
	}
	info, err := fault.Get(spec.Kind)
	if err != nil {
		return nil, err
	}
	nodes, err := m.existing(ctx, cluster)
	if err != nil {
		return nil, err
	}
	targets, err := pick(cluster, nodes, spec.Nodes)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(canBeHit(info, targets), canBeKilled(spec, targets)); err != nil {
		return nil, err
	}
	now := time.Now().Round(time.Millisecond)
	h := &hurt{m: m, info: info, targets: targets, machines: nodes, Active: fault.Active{
		ID: newFaultID(), Cluster: cluster, Kind: spec.Kind, Nodes: machineNames(targets), Params: spec.Params,
		Since: now, Until: now.Add(spec.For), Undo: info.Undo,
	}}
	if err := carriers[info.Undo](h, ctx); err != nil {
		return nil, fmt.Errorf("fault %s: %w", h, err)
	}
	return &h.Active, nil
}

// newFaultID is short, since people type it.
func newFaultID() string { return strings.ToLower(rand.Text()[:8]) }

// pick finds machines of a cluster by name, which may lack the cluster's own.
func pick(cluster string, machines []provider.Node, names []string) ([]provider.Node, error) {
	var found []provider.Node
	var errs []error
	for _, name := range names {
		i := slices.IndexFunc(machines, func(n provider.Node) bool { return isNamed(n, cluster, name) })
		switch {
		case i < 0:
			errs = append(errs, &NotFoundError{Kind: "node", Name: name, Known: machineNames(machines)})
		case slices.ContainsFunc(found, func(n provider.Node) bool { return n.Name == machines[i].Name }):
			errs = append(errs, &inputError{fmt.Errorf("node %q is named twice", machines[i].Name)})
		default:
			found = append(found, machines[i])
		}
	}
	return found, errors.Join(errs...)
}

// isNamed says whether a name is that of a machine. It may lack the cluster's own.
func isNamed(n provider.Node, cluster, name string) bool {
	return n.Name == name || n.Name == cluster+"-"+name
}

func machineNames(nodes []provider.Node) []string {
	names := make([]string, 0, len(nodes))
	for _, n := range nodes {
		names = append(names, n.Name)
	}
	return names
}

// canBeHit sees that a kind takes machines, and that they run.
func canBeHit(info fault.Info, targets []provider.Node) error {
	var errs []error
	for _, n := range targets {
		role := n.Labels[nodespec.LabelRole]
		switch {
		case !info.TakesRole(nodespec.Role(role)):
			errs = append(errs, &inputError{fmt.Errorf("fault %s is not for %s, a %s", info.Kind, n.Name, role)})
		case n.State != provider.StateRunning:
			errs = append(errs, failure.New(fmt.Sprintf("%s is %s; nothing was changed", n.Name, n.State), failure.Exit(failure.CodeHost)))
		}
	}
	return errors.Join(errs...)
}

// canBeKilled sees that machines have the process that is to be killed.
func canBeKilled(spec fault.Spec, targets []provider.Node) error {
	p, ok := fault.GetProcess(spec.Params[fault.ParamProcess])
	if !ok {
		return nil
	}
	var errs []error
	for _, n := range targets {
		balancer := isLoadBalancer(n)
		switch {
		case p.Balancer != balancer, p.ControlPlane && n.Labels[nodespec.LabelRole] != string(nodespec.RoleControlPlane):
			errs = append(errs, &inputError{fmt.Errorf("%s, a %s, has no %s", n.Name, n.Labels[nodespec.LabelRole], p.Name)})
		case balancer && spec.For > 0:
			errs = append(errs, &inputError{fmt.Errorf("%s is killed once: nothing in %s could do it again", p.Name, n.Name)})
		}
	}
	return errors.Join(errs...)
}

// Faults lists the faults that a cluster has, the oldest first: all that are known, also
// with an error, which names nodes that run and do not say what they have.
func (m *Manager) Faults(ctx context.Context, cluster string) ([]fault.Active, error) {
	guarded, err := m.guarded(ctx, cluster)
	if err != nil {
		return nil, err
	}
	inside, err := m.faultsInside(ctx, cluster)
	var all []fault.Active
	for _, g := range guarded {
		all = append(all, g.Active)
	}
	all = append(all, onceEach(inside)...)
	slices.SortStableFunc(all, func(a, b fault.Active) int { return a.Since.Compare(b.Since) })
	return all, err
}

// ClearFaults undoes faults of a cluster at once, all when no IDs are given, and tells
// which. What cannot be undone, or seen, keeps no other.
func (m *Manager) ClearFaults(ctx context.Context, cluster string, ids ...string) ([]fault.Active, error) {
	guarded, err := m.guarded(ctx, cluster)
	if err != nil {
		return nil, err
	}
	var all []fault.Active
	for _, g := range guarded {
		all = append(all, g.Active)
	}
	if err := m.haveAll(ctx, cluster, all, ids); err != nil {
		return nil, err
	}
	// Those first that a guard undoes: nothing can be done in a node that is paused.
	cleared, errs := m.clearAll(ctx, all, ids)
	if onlyGuarded(all, ids) {
		return cleared, errors.Join(errs...)
	}
	inside, err := m.faultsInside(ctx, cluster)
	more, failed := m.clearAll(ctx, onceEach(inside), ids)
	return append(cleared, more...), errors.Join(slices.Concat(errs, failed, []error{err})...)
}

// haveAll sees that a cluster has faults of those IDs, before the first is undone. Nodes
// are asked only for those that have no guard.
func (m *Manager) haveAll(ctx context.Context, cluster string, guarded []fault.Active, ids []string) error {
	if len(ids) == 0 || onlyGuarded(guarded, ids) {
		return nil
	}
	inside, unseen := m.faultsInside(ctx, cluster)
	var known []string
	for _, a := range slices.Concat(guarded, onceEach(inside)) {
		known = append(known, a.ID)
	}
	for _, id := range ids {
		switch {
		case slices.Contains(known, id):
		case unseen != nil:
			return fmt.Errorf("looking for fault %s: %w", id, unseen)
		default:
			return &NotFoundError{Kind: "fault", Name: id, Known: known}
		}
	}
	return nil
}

// onlyGuarded says whether IDs are given, and all of them are of faults with a guard.
func onlyGuarded(guarded []fault.Active, ids []string) bool {
	return len(ids) > 0 && !slices.ContainsFunc(ids, func(id string) bool {
		return !slices.ContainsFunc(guarded, func(a fault.Active) bool { return a.ID == id })
	})
}

// onceEach are faults, each of which several nodes may have.
func onceEach(orders []fault.Order) []fault.Active {
	var all []fault.Active
	for _, o := range orders {
		if !slices.ContainsFunc(all, func(a fault.Active) bool { return a.ID == o.ID }) {
			all = append(all, o.Active)
		}
	}
	return all
}

// clearAll undoes those faults that are named, all when no IDs are given.
func (m *Manager) clearAll(ctx context.Context, all []fault.Active, ids []string) (cleared []fault.Active, errs []error) {
	for _, a := range all {
		if len(ids) > 0 && !slices.Contains(ids, a.ID) {
			continue
		}
		if err := m.clear(ctx, a); err != nil {
			errs = append(errs, fmt.Errorf("undoing fault %s: %w", a, err))
			continue
		}
		cleared = append(cleared, a)
	}
	return cleared, errs
}

func (m *Manager) clear(ctx context.Context, a fault.Active) error {
	if a.Undo == fault.ByGuard {
		return m.undoGuarded(ctx, a.Cluster, a.ID)
	}
	return m.undoInside(ctx, a)
}

// AwaitFault waits until a fault is undone, by whomever.
func (m *Manager) AwaitFault(ctx context.Context, a fault.Active) error {
	for last := a.Until.Add(faultPatience); ; {
		there, err := m.isThere(ctx, a)
		_, unseen := errors.AsType[*unseenError](err)
		switch {
		case err != nil && (!unseen || ctx.Err() != nil || time.Now().After(last)):
			return err
		case err != nil: // nodes that are hurt may be slow
		case !there:
			return nil
		case time.Now().After(last):
			return failure.New(fmt.Sprintf("fault %s should have been undone at %s", a, a.Until.Local().Format(time.TimeOnly)),
				failure.Hint("kluster fault clear %s undoes it", a.ID))
		}
		if !wait.For(ctx, untilNextLook(a)) {
			return context.Cause(ctx)
		}
	}
}

// Looks at a fault: seldom while it shall last, since each costs its node something.
const (
	slowLook  = 5 * time.Second
	quickLook = 250 * time.Millisecond
)

func untilNextLook(a fault.Active) time.Duration {
	return max(quickLook, min(slowLook, time.Until(a.Until)))
}

// isThere says whether a fault still is. One of a cluster that is gone is not.
func (m *Manager) isThere(ctx context.Context, a fault.Active) (bool, error) {
	if a.Undo == fault.ByGuard {
		guarded, err := m.guarded(ctx, a.Cluster)
		return slices.ContainsFunc(guarded, func(g guardedFault) bool { return g.ID == a.ID }), err
	}
	nodes, err := m.machines(ctx, a.Cluster)
	if err != nil {
		return false, err
	}
	// Others may hang for reasons of their own.
	nodes = slices.DeleteFunc(nodes, func(n provider.Node) bool { return !mayHave(n, a) })
	inside, err := m.faultsIn(ctx, nodes)
	if slices.ContainsFunc(inside, func(o fault.Order) bool { return o.ID == a.ID }) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return m.isPaused(ctx, a)
}

// isPaused says whether a node that may have a fault is paused: it cannot be asked then,
// and cannot have undone anything since.
func (m *Manager) isPaused(ctx context.Context, a fault.Active) (bool, error) {
	nodes, err := m.machines(ctx, a.Cluster)
	return slices.ContainsFunc(nodes, func(n provider.Node) bool { return n.State == provider.StatePaused && mayHave(n, a) }), err
}
