package timings

import (
	"container/heap"
	"slices"
	"time"
)

// Unknown is what is taken for a spec without a time, in seconds.
const Unknown = 30

// Work is what is left of a run. All times are in seconds.
type Work struct {
	Running  []float64 // what specs that run still take
	Parallel []float64 // specs that wait for a process
	Serial   []float64 // specs that run alone when all others have ended
	Procs    int
}

// Left is how long the work takes: each process that is free takes the longest
// spec that waits.
func (w Work) Left() time.Duration {
	free := make(clock, max(1, w.Procs, len(w.Running)))
	copy(free, w.Running)
	heap.Init(&free)
	waiting := slices.Clone(w.Parallel)
	slices.Sort(waiting)
	for _, seconds := range slices.Backward(waiting) {
		free[0] += seconds
		heap.Fix(&free, 0)
	}
	total := slices.Max(free)
	for _, seconds := range w.Serial {
		total += seconds
	}
	return time.Duration(total * float64(time.Second))
}

// clock is when each process is free, the soonest first: a heap.
type clock []float64

func (c clock) Len() int           { return len(c) }
func (c clock) Less(i, j int) bool { return c[i] < c[j] }
func (c clock) Swap(i, j int)      { c[i], c[j] = c[j], c[i] }
func (c *clock) Push(x any)        { *c = append(*c, x.(float64)) }
func (c *clock) Pop() any {
	last := (*c)[len(*c)-1]
	*c = (*c)[:len(*c)-1]
	return last
}
