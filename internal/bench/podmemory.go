package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kluster-project/kluster/internal/wait"
)

const (
	// readings is how often memory is read for one figure, which is their median:
	// what garbage collectors of the control plane do goes up and down.
	readings = 5
	// readingsEvery is how long it is from one to the next.
	readingsEvery = 2 * time.Second
)

// rest leaves the cluster alone.
func (p *pairCluster) rest(ctx context.Context, _ *RuntimeSample) error {
	if !wait.For(ctx, p.opt.Idle) {
		return context.Cause(ctx)
	}
	return nil
}

// weighPods fills in the node's memory without and with idle pods. As many have
// run before, so that nothing grows for the first time.
func (p *pairCluster) weighPods(ctx context.Context, s *RuntimeSample) (err error) {
	if s.EmptyBytes, err = p.idleMemory(ctx, s); err != nil {
		return err
	}
	names := podNames("idle", p.opt.Amounts.Idle)
	if _, _, err = p.start(ctx, names); err != nil {
		return err
	}
	if s.FullBytes, err = p.idleMemory(ctx, s); err != nil {
		return err
	}
	s.IdlePods = len(names)
	return p.remove(ctx, names)
}

// idleMemory is the working set of the node after it has idled, in bytes.
func (p *pairCluster) idleMemory(ctx context.Context, s *RuntimeSample) (int64, error) {
	if err := p.rest(ctx, s); err != nil {
		return 0, err
	}
	var all []float64
	for range readings {
		if !wait.For(ctx, readingsEvery) {
			return 0, context.Cause(ctx)
		}
		bytes, err := p.nodeMemory(ctx)
		if err != nil {
			return 0, err
		}
		all = append(all, float64(bytes))
	}
	return int64(SpreadOf(all).Median), nil
}

// nodeMemory is the working set of the node's container, without the load
// balancer's.
func (p *pairCluster) nodeMemory(ctx context.Context) (int64, error) {
	containers, err := p.engine.Containers(ctx, p.tool.ClusterLabel, p.name)
	if err != nil {
		return 0, err
	}
	for _, c := range containers {
		if c.Labels[p.tool.RoleLabel] == roleControlPlane {
			use, err := p.engine.Use(ctx, c)
			if err != nil {
				return 0, fmt.Errorf("reading what the node uses: %w", err)
			}
			return use.WorkingSet, nil
		}
	}
	return 0, errors.New("the node's container has gone")
}
