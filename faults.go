package kluster

import (
	"context"
	"errors"
	"time"

	"github.com/kluster-project/kluster/internal/fault"
)

// FaultKind names a kind of fault. docs/faults.md says what each does, with its parameters
// and its limits.
type FaultKind string

// The kinds. One that the engine's machine cannot do is refused with the reason.
const (
	FaultKill        FaultKind = "kill"
	FaultPause       FaultKind = "pause"
	FaultPartition   FaultKind = "partition"
	FaultLatency     FaultKind = "latency"
	FaultLoss        FaultKind = "loss"
	FaultBandwidth   FaultKind = "bandwidth"
	FaultDiskFull    FaultKind = "disk-full"
	FaultKillProcess FaultKind = "kill-process"
	FaultCPU         FaultKind = "cpu"
	FaultMemory      FaultKind = "memory"
)

// FaultSpec is a fault that is asked for.
type FaultSpec struct {
	Kind FaultKind
	// Nodes are the machines that are hit, by name.
	Nodes []string
	// For is how long it lasts; 0 is the kind's own default.
	For time.Duration
	// Params are the kind's parameters, by the names of the command's flags; those left
	// out have their defaults.
	Params map[string]string
}

// Fault is a fault that holds, or has held.
type Fault struct {
	cluster *Cluster
	active  fault.Active
}

// Fault begins a fault and returns when it holds. It is undone when its time is up,
// whatever becomes of this process. One that cannot be done is refused, and nothing is
// changed.
func (c *Cluster) Fault(ctx context.Context, spec FaultSpec) (*Fault, error) {
	active, err := c.engine.manager.Fault(ctx, c.name, fault.Spec{
		Kind: fault.Kind(spec.Kind), Nodes: spec.Nodes, For: spec.For, Params: spec.Params,
	})
	if err != nil {
		return nil, told(err)
	}
	return &Fault{cluster: c, active: *active}, nil
}

// Faults lists the faults that the cluster has, the oldest first.
func (c *Cluster) Faults(ctx context.Context) ([]*Fault, error) {
	all, err := c.engine.manager.Faults(ctx, c.name)
	faults := make([]*Fault, 0, len(all))
	for _, a := range all {
		faults = append(faults, &Fault{cluster: c, active: a})
	}
	return faults, err
}

// ClearFaults undoes all faults of the cluster at once.
func (c *Cluster) ClearFaults(ctx context.Context) error {
	_, err := c.engine.manager.ClearFaults(ctx, c.name)
	return err
}

// ID is the fault's, for kluster fault clear.
func (f *Fault) ID() string { return f.active.ID }

// Kind is the fault's.
func (f *Fault) Kind() FaultKind { return FaultKind(f.active.Kind) }

// Nodes are the machines that it hits.
func (f *Fault) Nodes() []string { return f.active.Nodes }

// Until is when it is undone.
func (f *Fault) Until() time.Time { return f.active.Until }

// String is for people: "pause of mine-worker-1".
func (f *Fault) String() string { return f.active.String() }

// Undo undoes the fault at once. That it is undone already is no error.
func (f *Fault) Undo(ctx context.Context) error {
	_, err := f.cluster.engine.manager.ClearFaults(ctx, f.cluster.name, f.active.ID)
	if err = told(err); errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// Wait returns when the fault is undone, by whomever.
func (f *Fault) Wait(ctx context.Context) error {
	return f.cluster.engine.manager.AwaitFault(ctx, f.active)
}
