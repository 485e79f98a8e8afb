package trace

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sampleEvery is how often the use of the processors is noted.
const sampleEvery = 50 * time.Millisecond

// sample is the machine's use of its processors until at, in clock ticks.
type sample struct {
	at          time.Time
	busy, total int64
}

// SampleCPU notes how busy the machine is until stop is called, so that a wait
// can be told from work. Where the kernel does not tell, nothing is noted.
func (r *Recorder) SampleCPU(ctx context.Context) (stop func()) {
	if r == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(sampleEvery)
		defer ticker.Stop()
		for ctx.Err() == nil {
			r.noteCPU()
			select {
			case <-ctx.Done():
			case <-ticker.C:
			}
		}
		r.noteCPU()
	}()
	return func() { cancel(); <-done }
}

func (r *Recorder) noteCPU() {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return
	}
	busy, total, err := parseStat(string(stat))
	if err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.samples = append(r.samples, sample{time.Now(), busy, total})
}

// parseStat reads the first line of /proc/stat: "cpu", and the ticks that all
// processors together were in user, nice, system, idle, iowait, irq, softirq and
// steal; what follows is counted in user already.
func parseStat(stat string) (busy, total int64, err error) {
	line, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(line)
	if len(fields) < 5 || fields[0] != "cpu" {
		return 0, 0, fmt.Errorf("no line of all processors: %q", line)
	}
	for i, f := range fields[1:min(len(fields), 9)] {
		n, err := strconv.ParseUint(f, 10, 59) // the sum of eight is an int64
		if err != nil {
			return 0, 0, fmt.Errorf("field %d of %q is no number of ticks", i+1, line)
		}
		total += int64(n)
		if i != 3 && i != 4 { // idle, iowait
			busy += int64(n)
		}
	}
	return busy, total, nil
}

// usage is the share of the machine's processors that was busy from one time to
// another; false where that is not known.
func usage(samples []sample, from, to time.Time) (float64, bool) {
	a, ok := interpolate(samples, from)
	b, known := interpolate(samples, to)
	if !ok || !known || b.total-a.total < 1 {
		return 0, false
	}
	return min(max((b.busy-a.busy)/(b.total-a.total), 0), 1), true
}

// ticks are a sample between two that were taken.
type ticks struct{ busy, total float64 }

func interpolate(samples []sample, at time.Time) (ticks, bool) {
	i, _ := slices.BinarySearchFunc(samples, at, func(s sample, t time.Time) int { return s.at.Compare(t) })
	if len(samples) < 2 || i == 0 && samples[0].at.Sub(at) > sampleEvery || i == len(samples) && at.Sub(samples[i-1].at) > sampleEvery {
		return ticks{}, false
	}
	i = min(max(i, 1), len(samples)-1)
	a, b := samples[i-1], samples[i]
	share := 0.0
	if span := b.at.Sub(a.at); span > 0 {
		share = min(max(float64(at.Sub(a.at))/float64(span), 0), 1)
	}
	return ticks{float64(a.busy) + share*float64(b.busy-a.busy), float64(a.total) + share*float64(b.total-a.total)}, true
}
