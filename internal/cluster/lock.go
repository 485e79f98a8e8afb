package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

// LockName is the name of a node that is never started: while it is there, somebody
// changes the nodes of a cluster. As with the load balancer of a create, the name is
// the lock, for an engine hands it out once.
func LockName(cluster string) string { return cluster + "-lock" }

const (
	// lockLabel holds a random ID of the change, so that each removes its own lock
	// alone.
	lockLabel = "io.kluster.lock"
	// lockUntilLabel holds when a change has ended whatever became of it, as RFC 3339
	// has it. It counts where nobody can see whether its process runs.
	lockUntilLabel = "io.kluster.lock.until"
	// lockWorkLabel holds the name of the work.
	lockWorkLabel = "io.kluster.lock.work"
	// lockTries bounds how often a lock is tried that somebody else lets go of.
	lockTries = 3
)

// work is what is done to a cluster's nodes by one process at a time.
type work struct {
	name string
	// words say that it is under way, of a cluster's name.
	words string
	// end says what an interruption of it brings.
	end string
	// yields: a delete of the cluster does not wait for it.
	yields bool
}

// The works.
var (
	swapWork   = work{"swap", "the container runtimes of cluster %q are being swapped", "the node that it is at then gets back what it had", false}
	addWork    = work{"add", "nodes are being added to cluster %q", "what it has made is then removed", false}
	removeWork = work{"remove", "nodes are being removed from cluster %q", "removing the same nodes again goes on with it", false}
	works      = slices.AppendSeq([]work{swapWork, addWork, removeWork}, maps.Values(lifeWorks))
)

// workNamed is the work of that name; an unknown one is a later kluster's.
func workNamed(name string) work {
	if i := slices.IndexFunc(works, func(w work) bool { return w.name == name }); i >= 0 {
		return works[i]
	}
	return work{name, "the nodes of cluster %q are being changed", "see what it says then", false}
}

// underwayError is a cluster that another process changes: exit code 4.
type underwayError struct {
	cluster      string
	work         work
	by           creator
	seen         bool // its process runs for certain
	since, until time.Time
}

func (e *underwayError) Error() string {
	by := fmt.Sprintf("process %d", e.by.PID)
	if !e.seen {
		by = "a process that cannot be seen from here"
	}
	return fmt.Sprintf(e.work.words+" by %s since %s; nothing was changed", e.cluster, by, e.since.Local().Format(time.TimeOnly))
}

func (e *underwayError) ExitCode() int { return failure.CodeHost }

// Hint says what to do about it.
func (e *underwayError) Hint() string {
	if e.seen {
		return "wait until it has ended, or interrupt it: " + e.work.end
	}
	return fmt.Sprintf("wait until it has ended; should it have been killed, it no longer counts from %s on", e.until.Local().Format(time.DateTime))
}

// lock keeps other changes away from a cluster, and its delete unless the work yields to
// that, until unlock is called. It fails when there is one, and clears away what one that
// died has left. The lock's ID is the change's.
func (m *Manager) lock(ctx context.Context, w work, cluster string, nodes []provider.Node, longest time.Duration) (id string, unlock func(), err error) {
	self, err := thisProcess()
	if err != nil {
		return "", nil, err
	}
	id = rand.Text()
	labels := map[string]string{
		nodespec.LabelCluster: cluster, nodespec.LabelCreation: nodes[0].Labels[nodespec.LabelCreation],
		nodespec.LabelCreator: self.String(), nodespec.LabelRole: string(nodespec.RoleLock), nodespec.LabelNode: LockName(cluster),
		lockLabel: id, lockWorkLabel: w.name, lockUntilLabel: time.Now().Add(longest).Format(time.RFC3339),
	}
	for range lockTries {
		_, err = m.provider.CreateNode(ctx, provider.NodeSpec{
			Name: LockName(cluster), Image: nodes[0].Image, Labels: labels, NoNetwork: true,
		})
		if !errors.Is(err, provider.ErrNameTaken) {
			break
		}
		if err := m.clearLock(ctx, cluster); err != nil {
			return "", nil, err
		}
	}
	unlock = func() { m.removeLock(ctx, cluster, id) }
	if err == nil {
		return id, unlock, nil
	}
	unlock() // a call that is interrupted may have made it all the same
	err = fmt.Errorf("locking cluster %q against other changes: %w; nothing was changed", cluster, err)
	if errors.Is(err, provider.ErrNotFound) {
		err = failure.With(err, failure.Hint("the lock is made of the nodes' image, which must be in the engine: kluster get images shows what there is"))
	}
	return "", nil, err
}

// removeLock lets go of a change's own lock. If that fails, the lock goes when the
// process has ended and somebody wants it.
func (m *Manager) removeLock(ctx context.Context, cluster, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTime)
	defer cancel()
	if err := m.provider.Remove(ctx, provider.Selector{nodespec.LabelCluster: cluster, lockLabel: id}); err != nil {
		m.reporter.Note("%s is left, and the next change of the cluster removes it: %v", LockName(cluster), err)
	}
}

// clearLock removes the lock of a change that died. It fails if the change may still be
// under way.
func (m *Manager) clearLock(ctx context.Context, cluster string) error {
	nodes, err := m.provider.Nodes(ctx, provider.Selector{nodespec.LabelCluster: cluster})
	if err != nil {
		return err
	}
	i := slices.IndexFunc(nodes, isLock)
	if i < 0 {
		return nil // it has just ended, or the name is somebody else's
	}
	now, err := underway(cluster, nodes)
	if err != nil {
		return err
	}
	if now != nil {
		return now
	}
	m.reporter.Note("removing the lock of a change of %q that was cut short", cluster)
	return m.provider.Remove(ctx, provider.Selector{nodespec.LabelCluster: cluster, lockLabel: nodes[i].Labels[lockLabel]})
}

// underway is the change that holds the lock among the nodes of a cluster, nil if
// there is none or its process has ended.
func underway(cluster string, nodes []provider.Node) (*underwayError, error) {
	i := slices.IndexFunc(nodes, isLock)
	if i < 0 {
		return nil, nil
	}
	self, err := thisProcess()
	if err != nil {
		return nil, err
	}
	labels := nodes[i].Labels
	by, ok := parseCreator(labels[nodespec.LabelCreator])
	if !ok || !by.mayRun(self, startTime) {
		return nil, nil
	}
	until, _ := time.Parse(time.RFC3339, labels[lockUntilLabel]) // without it the time is up
	seen := by.PIDNamespace == self.PIDNamespace
	if !seen && time.Now().After(until) {
		return nil, nil
	}
	return &underwayError{
		cluster: cluster, work: workNamed(labels[lockWorkLabel]), by: by, seen: seen, since: nodes[i].Created, until: until,
	}, nil
}

func isLock(n provider.Node) bool {
	return n.Labels[nodespec.LabelRole] == string(nodespec.RoleLock)
}
