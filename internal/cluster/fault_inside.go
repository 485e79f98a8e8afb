package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/fault"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

// inNodes begins a fault that nodes undo themselves: all of them look whether they can
// do their part before the first does.
func (h *hurt) inNodes(ctx context.Context) error {
	orders, err := h.orders(ctx)
	if err != nil {
		return err
	}
	if err := h.tellAll(ctx, "check", orders); err != nil {
		return failure.With(fmt.Errorf("%w; nothing was changed", err), failure.Exit(codeOfRefusal(err)))
	}
	err = h.tellAll(ctx, "start", orders)
	if err == nil {
		return nil
	}
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), UndoTime(h.Kind))
	defer cancel()
	return errors.Join(err, h.m.undoInside(undo, h.Active))
}

// codeOfRefusal is that of a host that is not fit, unless something else went wrong.
func codeOfRefusal(err error) int {
	if failed, ok := errors.AsType[*provider.ExecError](err); ok && failed.Code == fault.CodeRefused {
		return failure.CodeHost
	}
	return failure.Code(err)
}

// tellAll gives each node its order, at the same time.
func (h *hurt) tellAll(ctx context.Context, act string, orders []fault.Order) error {
	errs := make([]error, len(orders))
	var group errgroup.Group
	for i, o := range orders {
		group.Go(func() error {
			errs[i] = h.m.tell(ctx, h.node(o.Node), act, o)
			return nil
		})
	}
	_ = group.Wait()
	return errors.Join(errs...)
}

func (h *hurt) node(name string) provider.Node {
	return h.machines[slices.IndexFunc(h.machines, func(n provider.Node) bool { return n.Name == name })]
}

// tell gives a node an order.
func (m *Manager) tell(ctx context.Context, n provider.Node, act string, o fault.Order) error {
	text, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("encoding the order for %s: %w", n.Name, err)
	}
	return m.askAgent(ctx, n, text, nil, act)
}

// agentUnknown is the code of a kluster-node that knows nothing of faults.
const agentUnknown = 2

var errKnowsNoFaults = errors.New("its node image is older than this kluster and knows no faults")

// askAgent runs "kluster-node fault" in a node, and puts the JSON that it prints into
// answer, if that is not nil.
func (m *Manager) askAgent(ctx context.Context, n provider.Node, stdin []byte, answer any, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, faultExecTime)
	defer cancel()
	var stdout bytes.Buffer
	err := m.provider.Exec(ctx, n.ID, provider.Command{
		Args: append([]string{nodespec.NodeBinary, "fault"}, args...), Stdin: bytes.NewReader(stdin), Stdout: &stdout,
	})
	if failed, ok := errors.AsType[*provider.ExecError](err); ok {
		return agentError(n, failed)
	}
	if err == nil && answer != nil {
		if err = json.Unmarshal(stdout.Bytes(), answer); err != nil {
			err = fmt.Errorf("%s: reading what it says of faults: %w", n.Name, err)
		}
	}
	return err
}

// agentError says what a node said, without the command that asked it.
func agentError(n provider.Node, failed *provider.ExecError) error {
	if failed.Code == agentUnknown {
		return failure.With(fmt.Errorf("%s: %w", n.Name, errKnowsNoFaults),
			failure.Exit(failure.CodeHost), failure.Hint("make the cluster again: kluster create builds the image that it needs"))
	}
	return &agentFailure{node: n.Name, cause: failed}
}

// agentFailure is an order that a node did not obey.
type agentFailure struct {
	node  string
	cause *provider.ExecError
}

func (e *agentFailure) Error() string { return e.node + ": " + said(e.cause.Output) }

func (e *agentFailure) Unwrap() error { return e.cause }

// said takes the message out of a log line of kluster-node.
func said(output string) string {
	text := strings.TrimSpace(output)
	if _, msg, ok := strings.Cut(text, "msg="); ok && !strings.Contains(text, "\n") {
		var plain string
		if json.Unmarshal([]byte(msg), &plain) == nil {
			return plain
		}
		return msg
	}
	return text
}

// orders are what each node is told.
func (h *hurt) orders(ctx context.Context) ([]fault.Order, error) {
	if h.info.Between {
		return h.ordersBetween(ctx)
	}
	var orders []fault.Order
	for _, n := range h.targets {
		orders = append(orders, fault.Order{Active: h.Active, Node: n.Name})
	}
	return orders, nil
}

// ordersBetween are those of a fault of what goes between the targets and others. The
// targets do it, but for the load balancer, which may not change its own network: there
// the others do, with the directions the other way round.
func (h *hurt) ordersBetween(ctx context.Context) ([]fault.Order, error) {
	others, err := h.otherSide()
	if err != nil {
		return nil, err
	}
	in, out := h.Params[fault.ParamDirection] != fault.Out, h.Params[fault.ParamDirection] != fault.In
	peers := map[string][]fault.Peer{}
	for _, t := range h.targets {
		for _, o := range others {
			at, peer, comes, goes := t, o, in, out
			if isLoadBalancer(t) {
				at, peer, comes, goes = o, t, out, in
			}
			addrs, err := h.addrsOf(ctx, peer)
			if err != nil {
				return nil, err
			}
			if len(addrs) > 0 {
				peers[at.Name] = append(peers[at.Name], fault.Peer{Name: peer.Name, Addrs: addrs, In: comes, Out: goes})
			}
		}
	}
	var orders []fault.Order
	for _, n := range h.machines {
		if len(peers[n.Name]) == 0 {
			continue
		}
		if n.State != provider.StateRunning {
			return nil, failure.New(fmt.Sprintf("%s is %s; nothing was changed", n.Name, n.State), failure.Exit(failure.CodeHost))
		}
		orders = append(orders, fault.Order{Active: h.Active, Node: n.Name, Peers: peers[n.Name]})
	}
	if len(orders) == 0 {
		return nil, &inputError{errors.New("there is nothing on the other side")}
	}
	return orders, nil
}

// mayHave says whether a node may have been given an order of a fault: it is a target, or of
// those that act in the place of the load balancer.
func mayHave(n provider.Node, a fault.Active) bool {
	switch info, err := fault.Get(a.Kind); {
	case isLoadBalancer(n):
		return false
	case slices.Contains(a.Nodes, n.Name):
		return true
	case err != nil || !info.Between || !slices.Contains(a.Nodes, LoadBalancerName(a.Cluster)):
		return false
	}
	from := fault.Names(a.Params[fault.ParamFrom])
	return from == nil || slices.ContainsFunc(from, func(name string) bool { return isNamed(n, a.Cluster, name) })
}

// otherSide are the machines that --from names, else all that are no targets.
func (h *hurt) otherSide() ([]provider.Node, error) {
	isTarget := func(n provider.Node) bool { return slices.Contains(h.Nodes, n.Name) }
	names := fault.Names(h.Params[fault.ParamFrom])
	if names == nil {
		return slices.DeleteFunc(slices.Clone(h.machines), isTarget), nil
	}
	others, err := pick(h.Cluster, h.machines, names)
	if err == nil && slices.ContainsFunc(others, isTarget) {
		err = &inputError{errors.New("a node is on both sides")}
	}
	return others, err
}

// addrsOf are the addresses of a machine. The load balancer has those that the engine
// gave it at its start, so that it is asked; one that does not run has none.
func (h *hurt) addrsOf(ctx context.Context, n provider.Node) ([]netip.Addr, error) {
	if len(n.Addrs) > 0 || n.State != provider.StateRunning {
		return n.Addrs, nil
	}
	var addrs []netip.Addr
	err := h.m.askAgent(ctx, n, nil, &addrs, "addresses")
	return addrs, err
}

// faultsInside are the faults that the nodes of a cluster have and undo themselves, also
// with an error, which names nodes that do not answer. One that does not because it is
// paused is left out.
func (m *Manager) faultsInside(ctx context.Context, cluster string) ([]fault.Order, error) {
	nodes, err := m.machines(ctx, cluster)
	if err != nil {
		return nil, err
	}
	return m.faultsIn(ctx, nodes)
}

// faultsIn is faultsInside of some of a cluster's machines.
func (m *Manager) faultsIn(ctx context.Context, nodes []provider.Node) ([]fault.Order, error) {
	nodes = slices.DeleteFunc(nodes, func(n provider.Node) bool { return isLoadBalancer(n) || n.State != provider.StateRunning })
	found := make([][]fault.Order, len(nodes))
	errs := make([]error, len(nodes))
	var group errgroup.Group
	for i, n := range nodes {
		group.Go(func() error {
			found[i], errs[i] = m.faultsOf(ctx, n)
			return nil
		})
	}
	_ = group.Wait()
	return slices.Concat(found...), m.stillThere(ctx, nodes, errs)
}

// faultsOf are the faults that a node has and undoes itself.
func (m *Manager) faultsOf(ctx context.Context, n provider.Node) ([]fault.Order, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, faultListTime, fmt.Errorf("it did not answer within %v", faultListTime))
	defer cancel()
	var found []fault.Order
	err := m.askAgent(ctx, n, nil, &found, "list")
	if err == nil {
		return found, nil
	}
	if ctx.Err() != nil {
		err = causeOf(ctx, err)
	}
	return nil, &unseenError{node: n.Name, cause: err}
}

// unseenError is a node that runs and does not say which faults it has.
type unseenError struct {
	node  string
	cause error
}

func (e *unseenError) Error() string {
	return fmt.Sprintf("the faults of %s are not known: %v", e.node, e.cause)
}

func (e *unseenError) Unwrap() error { return e.cause }

// Hint says what it means.
func (e *unseenError) Hint() string {
	return fmt.Sprintf("what %s has it undoes by itself when its time is up; kluster node restart %s ends it at once", e.node, e.node)
}

// stillThere gives the errors of nodes that run: one that has stopped, is paused or
// has gone meanwhile has no faults inside that could be seen, and one that knows of no
// faults has none.
func (m *Manager) stillThere(ctx context.Context, nodes []provider.Node, errs []error) error {
	for i, err := range errs {
		if errors.Is(err, errKnowsNoFaults) {
			errs[i] = nil
		}
	}
	if errors.Join(errs...) == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	now, err := m.provider.Nodes(ctx, provider.Selector{nodespec.LabelCluster: nodes[0].Labels[nodespec.LabelCluster]})
	if err != nil {
		return err
	}
	for i, n := range nodes {
		runs := slices.ContainsFunc(now, func(other provider.Node) bool { return other.ID == n.ID && other.State == provider.StateRunning })
		if !runs {
			errs[i] = nil
		}
	}
	return errors.Join(errs...)
}
