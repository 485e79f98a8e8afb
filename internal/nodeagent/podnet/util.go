package podnet

import (
	"context"
	"maps"
	"slices"
	"time"
)

func equal(a, b Peer) bool {
	return a.Name == b.Name && slices.Equal(a.Addrs, b.Addrs) && slices.Equal(a.Ranges, b.Ranges)
}

// values copies a map's values, so that the map may change afterwards.
func values(m map[string]Peer) []Peer { return slices.Collect(maps.Values(m)) }

// sleep is false when ctx ended before d was over.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
