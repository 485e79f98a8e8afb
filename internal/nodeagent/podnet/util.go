package podnet

import (
	"maps"
	"slices"
)

func equal(a, b Peer) bool {
	return a.Name == b.Name && slices.Equal(a.Addrs, b.Addrs) && slices.Equal(a.Ranges, b.Ranges)
}

// values copies a map's values, so that the map may change afterwards.
func values(m map[string]Peer) []Peer { return slices.Collect(maps.Values(m)) }
