package nodeimage

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// State of a step.
type State string

// The states.
const (
	Started  State = "started"
	Finished State = "finished"
	Cached   State = "cached" // its output was there already
	Failed   State = "failed"
)

// Event tells of a step.
type Event struct {
	Step     string // "build-kubernetes"
	State    State
	Elapsed  time.Duration // of a step that ended
	Estimate time.Duration // how long the step takes, as far as is known; else 0
	// Done and Total count steps, those not begun included.
	Done, Total int
}

// progress hands on events and remembers durations for the next build's
// estimates.
type progress struct {
	mu        sync.Mutex
	tell      func(Event)
	file      string
	durations map[string]time.Duration
	total     int
	done      int
}

func newProgress(c *cache, tell func(Event), defaults map[string]time.Duration) *progress {
	p := &progress{tell: tell, file: filepath.Join(c.dir, "durations.json"), durations: defaults, total: len(defaults)}
	known := map[string]time.Duration{}
	// Without the file, or with a broken one, the defaults stand.
	if data, err := os.ReadFile(p.file); err == nil && json.Unmarshal(data, &known) == nil {
		for k, v := range known {
			p.durations[k] = v
		}
	}
	return p
}

func (p *progress) started(step string) { p.event(Event{Step: step, State: Started}) }

func (p *progress) cached(step string) { p.event(Event{Step: step, State: Cached}) }

func (p *progress) finished(step string, took time.Duration, err error) {
	e := Event{Step: step, State: Finished, Elapsed: took}
	if err != nil {
		e.State = Failed
	}
	p.event(e)
}

func (p *progress) event(e Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.Estimate = p.durations[e.Step]
	if e.State == Finished || e.State == Cached {
		p.done++
	}
	if e.State == Finished {
		p.durations[e.Step] = e.Elapsed
		p.save()
	}
	p.total = max(p.total, p.done)
	e.Done, e.Total = p.done, p.total
	if p.tell != nil {
		p.tell(e)
	}
}

// save keeps the durations; a failure costs only an estimate.
func (p *progress) save() {
	data, err := json.Marshal(p.durations)
	if err != nil {
		return
	}
	tmp := fmt.Sprintf("%s.%d", p.file, os.Getpid())
	if os.WriteFile(tmp, data, 0o644) == nil {
		_ = os.Rename(tmp, p.file)
	}
}

// estimates are the catalog's, by step.
func (b *builder) estimates() map[string]time.Duration {
	out := map[string]time.Duration{"store": 60 * time.Second, "build-pause": 3 * time.Second}
	c, err := LoadCatalog()
	if err != nil {
		return out
	}
	for _, g := range b.r.Graphs {
		if known := c.graph(g.Name); known != nil {
			out["build-"+g.Name] = known.Estimate
		}
	}
	for _, r := range b.r.Roots {
		out["root-"+r.Name] = r.Estimate
	}
	return out
}

// wrapStep says which step failed, unless nothing did.
func wrapStep(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("node image, step %s: %w", name, err)
}
