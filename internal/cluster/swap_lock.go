package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

// SwapLockName is the name of a node that is never started: while it is there, the
// container runtimes of a cluster are being swapped. As with the load balancer of a
// create, the name is the lock, for an engine hands it out once.
func SwapLockName(cluster string) string { return cluster + "-swap" }

const (
	// swapLabel holds a random ID of the swap, so that each removes its own lock alone.
	swapLabel = "io.kluster.swap"
	// swapUntilLabel holds when a swap has ended whatever became of it, as RFC 3339
	// has it. It counts where nobody can see whether its process runs.
	swapUntilLabel = "io.kluster.swap.until"
	// swapLockTries bounds how often a lock is tried that somebody else lets go of.
	swapLockTries = 3
)

// swapUnderwayError is a cluster whose container runtimes another swap changes:
// exit code 4.
type swapUnderwayError struct {
	cluster      string
	by           creator
	seen         bool // its process runs for certain
	since, until time.Time
}

func (e *swapUnderwayError) Error() string {
	by := fmt.Sprintf("process %d", e.by.PID)
	if !e.seen {
		by = "a process that cannot be seen from here"
	}
	return fmt.Sprintf("the container runtimes of cluster %q are being swapped by %s since %s; nothing was changed",
		e.cluster, by, e.since.Local().Format(time.TimeOnly))
}

func (e *swapUnderwayError) ExitCode() int { return failure.CodeHost }

// Hint says what to do about it.
func (e *swapUnderwayError) Hint() string {
	if e.seen {
		return "wait until it has ended, or interrupt it: the node that it is at then gets back what it had"
	}
	return fmt.Sprintf("wait until it has ended; should it have been killed, it no longer counts from %s on", e.until.Local().Format(time.DateTime))
}

// longest bounds the time that a swap of so many nodes takes, whatever happens.
func (o SwapOptions) longest(nodes int) time.Duration {
	each := 2 * o.Timeout // the look before the first is touched, and the swap
	return time.Duration(nodes)*each + swapBackTime + rollbackTime
}

// lockSwap keeps other swaps away from a cluster, and its delete, until unlock is
// called. It fails when there is one, and clears away what one that died has left.
func (m *Manager) lockSwap(ctx context.Context, cluster string, nodes []provider.Node, longest time.Duration) (unlock func(), err error) {
	self, err := thisProcess()
	if err != nil {
		return nil, err
	}
	id := rand.Text()
	labels := map[string]string{
		nodespec.LabelCluster: cluster, nodespec.LabelCreation: nodes[0].Labels[nodespec.LabelCreation],
		nodespec.LabelCreator: self.String(), nodespec.LabelRole: string(nodespec.RoleSwapLock), nodespec.LabelNode: SwapLockName(cluster),
		swapLabel: id, swapUntilLabel: time.Now().Add(longest).Format(time.RFC3339),
	}
	for range swapLockTries {
		_, err = m.provider.CreateNode(ctx, provider.NodeSpec{
			Name: SwapLockName(cluster), Image: nodes[0].Image, Labels: labels, NoNetwork: true,
		})
		if !errors.Is(err, provider.ErrNameTaken) {
			break
		}
		if err := m.clearSwapLock(ctx, cluster); err != nil {
			return nil, err
		}
	}
	unlock = func() { m.removeSwapLock(ctx, cluster, id) }
	if err == nil {
		return unlock, nil
	}
	unlock() // a call that is interrupted may have made it all the same
	err = fmt.Errorf("locking cluster %q against other swaps: %w; nothing was changed", cluster, err)
	if errors.Is(err, provider.ErrNotFound) {
		err = failure.With(err, failure.Hint("the lock is made of the nodes' image, which must be in the engine: kluster get images shows what there is"))
	}
	return nil, err
}

// removeSwapLock lets go of a swap's own lock. If that fails, the lock goes when the
// process has ended and somebody wants it.
func (m *Manager) removeSwapLock(ctx context.Context, cluster, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTime)
	defer cancel()
	if err := m.provider.Remove(ctx, provider.Selector{nodespec.LabelCluster: cluster, swapLabel: id}); err != nil {
		m.reporter.Note("%s is left, and the next swap removes it: %v", SwapLockName(cluster), err)
	}
}

// clearSwapLock removes the lock of a swap that died. It fails if the swap may still
// be under way.
func (m *Manager) clearSwapLock(ctx context.Context, cluster string) error {
	nodes, err := m.provider.Nodes(ctx, provider.Selector{nodespec.LabelCluster: cluster})
	if err != nil {
		return err
	}
	i := slices.IndexFunc(nodes, isSwapLock)
	if i < 0 {
		return nil // it has just ended, or the name is somebody else's
	}
	underway, err := swapUnderway(cluster, nodes)
	if err != nil {
		return err
	}
	if underway != nil {
		return underway
	}
	m.reporter.Note("removing the lock of a swap of %q that was cut short", cluster)
	return m.provider.Remove(ctx, provider.Selector{nodespec.LabelCluster: cluster, swapLabel: nodes[i].Labels[swapLabel]})
}

// swapUnderway is the swap that holds the lock among the nodes of a cluster, nil if
// there is none or its process has ended.
func swapUnderway(cluster string, nodes []provider.Node) (*swapUnderwayError, error) {
	i := slices.IndexFunc(nodes, isSwapLock)
	if i < 0 {
		return nil, nil
	}
	self, err := thisProcess()
	if err != nil {
		return nil, err
	}
	by, ok := parseCreator(nodes[i].Labels[nodespec.LabelCreator])
	if !ok || !by.mayRun(self, startTime) {
		return nil, nil
	}
	until, _ := time.Parse(time.RFC3339, nodes[i].Labels[swapUntilLabel]) // without it the time is up
	seen := by.PIDNamespace == self.PIDNamespace
	if !seen && time.Now().After(until) {
		return nil, nil
	}
	return &swapUnderwayError{cluster: cluster, by: by, seen: seen, since: nodes[i].Created, until: until}, nil
}

func isSwapLock(n provider.Node) bool {
	return n.Labels[nodespec.LabelRole] == string(nodespec.RoleSwapLock)
}
