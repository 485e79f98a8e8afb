package nodeimage

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Progress is told what a build is at. Calls may come from several goroutines
// at once. A status.Step is one.
type Progress interface {
	// Start says that a step begins that takes long, and returns what is
	// called when it ends. estimate is what it took last time, on this machine
	// or on another; 0 when that is not known.
	Start(step string, estimate time.Duration) (done func(error))
	// Progress says how much of the work is done, in milliseconds of
	// estimates.
	Progress(done, total int64)
}

// silent is a Progress for nobody.
type silent struct{}

func (silent) Start(string, time.Duration) func(error) { return func(error) {} }
func (silent) Progress(int64, int64)                   {}

// clock tells a Progress of the steps that take long, and remembers how long
// they took for the next build's estimates.
type clock struct {
	tell Progress
	file string

	mu        sync.Mutex
	estimates map[string]time.Duration
	ended     map[string]bool
}

// newClock expects the steps of estimates.
func newClock(c *cache, tell Progress, estimates map[string]time.Duration) *clock {
	if tell == nil {
		tell = silent{}
	}
	k := &clock{tell: tell, file: filepath.Join(c.dir, "durations.json"), estimates: estimates, ended: map[string]bool{}}
	// Without the file, or with a broken one, the estimates stand.
	known := map[string]time.Duration{}
	if data, err := os.ReadFile(k.file); err == nil && json.Unmarshal(data, &known) == nil {
		for step, took := range known {
			if _, wanted := estimates[step]; wanted {
				estimates[step] = took
			}
		}
	}
	return k
}

// start begins a step, and returns what ends it.
func (k *clock) start(step string) func(error) {
	k.mu.Lock()
	estimate, long := k.estimates[step]
	k.mu.Unlock()
	if !long {
		return func(error) {}
	}
	done, begin := k.tell.Start(title(step), estimate), time.Now()
	return func(err error) {
		done(err)
		if err == nil {
			k.end(step, time.Since(begin))
		}
	}
}

// end notes that a step's output is there; took is 0 if it was there before.
func (k *clock) end(step string, took time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, long := k.estimates[step]; !long || k.ended[step] {
		return
	}
	k.ended[step] = true
	if took > 0 {
		k.save(step, took)
	}
	var done, total int64
	for s, estimate := range k.estimates {
		total += estimate.Milliseconds()
		if k.ended[s] {
			done += estimate.Milliseconds()
		}
	}
	k.tell.Progress(done, total)
}

// save keeps a duration; where it cannot, only an estimate is lost.
func (k *clock) save(step string, took time.Duration) {
	known := map[string]time.Duration{}
	if data, err := os.ReadFile(k.file); err == nil {
		_ = json.Unmarshal(data, &known)
	}
	known[step] = took
	data, err := json.Marshal(known)
	if err != nil {
		return
	}
	tmp := fmt.Sprintf("%s.%d", k.file, os.Getpid())
	if os.WriteFile(tmp, data, 0o644) == nil {
		_ = os.Rename(tmp, k.file)
	}
}
