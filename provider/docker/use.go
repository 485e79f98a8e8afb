package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/kluster-project/kluster/provider"
)

// Use implements provider.Provider. One-shot: the engine would otherwise wait for a
// second look, to tell what was used between the two.
func (p *Provider) Use(ctx context.Context, id string) (provider.Use, error) {
	resp, err := p.api.ContainerStatsOneShot(ctx, id)
	if err != nil {
		return provider.Use{}, fmt.Errorf("asking what node %q uses: %w", id, explain(err))
	}
	defer resp.Body.Close()
	var stats container.StatsResponse
	if err := json.NewDecoder(resp.Body).Decode(&stats); err != nil {
		return provider.Use{}, fmt.Errorf("asking what node %q uses: %w", id, err)
	}
	return useOf(stats, time.Now()), nil
}

// useOf reads the engine's figures. Those of a container that does not run have no time
// and are empty.
func useOf(stats container.StatsResponse, now time.Time) provider.Use {
	if stats.Read.IsZero() {
		return provider.Use{}
	}
	memory := stats.MemoryStats
	// The kernel's name of it, on cgroup v2 and v1.
	cached, ok := memory.Stats["inactive_file"]
	if v1, is := memory.Stats["total_inactive_file"]; is || !ok {
		cached = v1
	}
	return provider.Use{
		At: now, CPU: time.Duration(stats.CPUStats.CPUUsage.TotalUsage), //nolint:gosec // 292 years
		Memory:      int64(memory.Usage - min(cached, memory.Usage)), //nolint:gosec // bytes of memory
		MemoryLimit: int64(min(memory.Limit, 1<<62)),                 //nolint:gosec // the same
	}
}
