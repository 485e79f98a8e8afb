package docker

import (
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/kluster-project/kluster/provider"
)

func TestUseOf(t *testing.T) {
	now := time.Unix(1000, 0)
	stats := func(usage, limit uint64, kernel map[string]uint64) container.StatsResponse {
		return container.StatsResponse{
			Read:        time.Unix(999, 0),
			CPUStats:    container.CPUStats{CPUUsage: container.CPUUsage{TotalUsage: 5e9}},
			MemoryStats: container.MemoryStats{Usage: usage, Limit: limit, Stats: kernel},
		}
	}
	for name, c := range map[string]struct {
		stats container.StatsResponse
		want  provider.Use
	}{
		"cgroup v2":     {stats(100, 1000, map[string]uint64{"inactive_file": 30}), provider.Use{At: now, CPU: 5 * time.Second, Memory: 70, MemoryLimit: 1000}},
		"cgroup v1":     {stats(100, 1000, map[string]uint64{"inactive_file": 1, "total_inactive_file": 40}), provider.Use{At: now, CPU: 5 * time.Second, Memory: 60, MemoryLimit: 1000}},
		"more cached":   {stats(100, 1000, map[string]uint64{"inactive_file": 200}), provider.Use{At: now, CPU: 5 * time.Second, MemoryLimit: 1000}},
		"does not run":  {container.StatsResponse{}, provider.Use{}},
		"no fine print": {stats(100, 1000, nil), provider.Use{At: now, CPU: 5 * time.Second, Memory: 100, MemoryLimit: 1000}},
	} {
		if got := useOf(c.stats, now); got != c.want {
			t.Errorf("%s: %+v, not %+v", name, got, c.want)
		}
	}
}
