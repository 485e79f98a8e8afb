package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kluster-project/kluster/internal/fault"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

// A fault that no node can undo is recorded as a node that is never started, so that
// any later kluster can undo it.

const (
	// faultLabel holds a fault's ID, and faultSpecLabel a guardedFault as JSON.
	faultLabel     = "io.kluster.fault"
	faultSpecLabel = "io.kluster.fault.spec"
)

// FaultRecordName is the name of the node that is the record of a fault.
func FaultRecordName(cluster, id string) string { return cluster + "-fault-" + id }

// guardedFault is a fault with a guard, as its record has it.
type guardedFault struct {
	fault.Active
	// Targets are the IDs of the nodes that are hit: another cluster of the same name
	// is none of its business.
	Targets []string `json:"targets"`
	// Image is that of a node, of which the record is made, and Creation the cluster's.
	Image    string `json:"image"`
	Creation string `json:"creation"`

	guard creator   // known once there is a record
	made  time.Time // when that was
}

func isFault(n provider.Node) bool {
	return n.Labels[nodespec.LabelRole] == string(nodespec.RoleFault)
}

// recordFault writes down that this process guards a fault.
func (m *Manager) recordFault(ctx context.Context, g guardedFault) error {
	self, err := thisProcess()
	if err != nil {
		return err
	}
	text, err := json.Marshal(g)
	if err != nil {
		return fmt.Errorf("encoding fault %s: %w", g.ID, err)
	}
	name := FaultRecordName(g.Cluster, g.ID)
	_, err = m.provider.CreateNode(ctx, provider.NodeSpec{Name: name, Image: g.Image, NoNetwork: true, Labels: map[string]string{
		nodespec.LabelCluster: g.Cluster, nodespec.LabelCreation: g.Creation, nodespec.LabelCreator: self.String(),
		nodespec.LabelRole: string(nodespec.RoleFault), nodespec.LabelNode: name,
		faultLabel: g.ID, faultSpecLabel: string(text),
	}})
	if err != nil {
		return fmt.Errorf("recording the fault: %w", err)
	}
	return nil
}

// forgetFault removes the record of a fault.
func (m *Manager) forgetFault(ctx context.Context, cluster, id string) error {
	return m.provider.Remove(ctx, provider.Selector{nodespec.LabelCluster: cluster, faultLabel: id})
}

// guarded are the faults of a cluster that have a guard, or had. A record that cannot be
// read is no reason to leave the others; UndoOverdue tells of it.
func (m *Manager) guarded(ctx context.Context, cluster string) ([]guardedFault, error) {
	all, _, err := m.recorded(ctx, cluster)
	return all, err
}

// recorded are the faults of a cluster, of all when cluster is "", and what is wrong with
// records that cannot be read. It is one look at the engine.
func (m *Manager) recorded(ctx context.Context, cluster string) (all []guardedFault, bad []error, err error) {
	records, err := m.provider.Nodes(ctx, provider.Selector{
		nodespec.LabelRole: string(nodespec.RoleFault), nodespec.LabelCluster: cluster,
	})
	for _, n := range records {
		if g, err := guardedOf(n); err != nil {
			bad = append(bad, err)
		} else {
			all = append(all, g)
		}
	}
	return all, bad, err
}

// guardedOf reads a record.
func guardedOf(n provider.Node) (g guardedFault, err error) {
	if err := json.Unmarshal([]byte(n.Labels[faultSpecLabel]), &g); err != nil {
		return g, fmt.Errorf("reading label %s of %s: %w", faultSpecLabel, n.Name, err)
	}
	// The labels decide what is touched, whatever the text says.
	g.ID, g.Cluster, g.made = n.Labels[faultLabel], n.Labels[nodespec.LabelCluster], n.Created
	g.guard, _ = parseCreator(n.Labels[nodespec.LabelCreator])
	return g, nil
}

// overdueAfter is how much later than it should a guard may undo its fault before
// others do.
const overdueAfter = 5 * time.Second

// overdue says whether nobody but us will undo a fault.
func (g guardedFault) overdue(viewer creator, now time.Time) bool {
	return now.After(g.Until.Add(overdueAfter)) || !g.guard.mayRun(viewer, startTime)
}

// UndoOverdue undoes the faults whose guard has died or is late, of all clusters: one
// that cannot be undone keeps no other. When there is none it costs one look.
func (m *Manager) UndoOverdue(ctx context.Context) error {
	all, bad, err := m.recorded(ctx, "")
	for _, err := range bad {
		m.reporter.Note("leaving a fault as it is: %v", err)
	}
	if err != nil || len(all) == 0 {
		return err
	}
	self, err := thisProcess()
	if err != nil {
		return err
	}
	var errs []error
	for _, g := range all {
		if !g.overdue(self, time.Now()) {
			continue
		}
		m.reporter.Note("undoing fault %s of cluster %s, which nobody guards any more", g, g.Cluster)
		if err := m.undoFault(ctx, g); err != nil {
			errs = append(errs, fmt.Errorf("undoing fault %s: %w", g, err))
		}
	}
	return errors.Join(errs...)
}

// undoGuarded undoes a fault by its ID; its guard sees that the record has gone.
func (m *Manager) undoGuarded(ctx context.Context, cluster, id string) error {
	all, err := m.guarded(ctx, cluster)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(g guardedFault) bool { return g.ID == id })
	if i < 0 {
		return nil
	}
	return m.undoFault(ctx, all[i])
}
