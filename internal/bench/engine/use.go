package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/kluster-project/kluster/internal/bench"
)

// Use implements bench.Engine.
func (e *Engine) Use(ctx context.Context, c bench.Container) (bench.Use, error) {
	resp, err := e.api.ContainerStatsOneShot(ctx, c.ID)
	if err != nil {
		return bench.Use{}, fmt.Errorf("reading the counters of %s: %w", c.Name, err)
	}
	defer resp.Body.Close()
	var s container.StatsResponse
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		return bench.Use{}, fmt.Errorf("reading the counters of %s: %w", c.Name, err)
	}
	return bench.Use{CPU: time.Duration(s.CPUStats.CPUUsage.TotalUsage), WorkingSet: workingSet(s.MemoryStats)}, nil
}

// workingSet is the kubelet's: what is used less the inactive page cache. Version
// 1 of cgroups counts those below a container's own in the fields "total_...".
func workingSet(m container.MemoryStats) int64 {
	inactive, v1 := m.Stats["total_inactive_file"]
	if !v1 {
		inactive = m.Stats["inactive_file"]
	}
	if inactive > m.Usage {
		return 0
	}
	return int64(m.Usage - inactive)
}
