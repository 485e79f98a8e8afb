package chaos

import (
	"slices"
	"sync"
	"time"
)

// Beats are the moments at which something was seen to go on.
type Beats struct {
	mu sync.Mutex
	at []time.Duration
}

// Add notes one. Moments must not go backwards.
func (b *Beats) Add(at time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.at = append(b.at, at)
}

// Between counts those of a window, and gives the longest time in it without one. In a window
// without any that is all of it.
func (b *Beats) Between(from, to time.Duration) (count int, pause time.Duration) {
	b.mu.Lock()
	list := slices.Clone(b.at)
	b.mu.Unlock()
	last := from
	for _, at := range list {
		if at < from || at > to {
			continue
		}
		count++
		pause = max(pause, at-last)
		last = at
	}
	return count, max(pause, to-last)
}
