// Package history records what clients of a cluster's API wrote and read while it was
// broken, and checks that it is what one register for each key could have done: no
// acknowledged write is lost, and nobody reads an older value after a newer one.
//
// A client writes a value in place of one that it knows, as an update of an object
// with its resourceVersion does. Every value is written once, so a value tells which
// write it is of. What became of a write that was not answered is open: it may have
// been done at any time since it was asked for, or never.
package history

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"sync"
	"time"
)

// Initial is the value of every key before the first write.
const Initial = "0"

// Outcome is what a client knows of its operation.
type Outcome string

// The outcomes.
const (
	// Done is an answer: the value that was read, or a write acknowledged.
	Done Outcome = "done"
	// Conflict refuses a write since the key has another value by now.
	Conflict Outcome = "conflict"
	// Failed is an operation that certainly was not done.
	Failed Outcome = "failed"
	// Unknown may have been done or not, or be done yet.
	Unknown Outcome = "unknown"
)

// Op is one operation of a client.
type Op struct {
	Client int `json:"client"`
	// Via is the way it went: the load balancer's name, or a control plane's.
	Via string `json:"via"`
	Key string `json:"key"`
	// Write stores Value in place of From; what is no write has read Value.
	Write bool   `json:"write,omitempty"`
	From  string `json:"from,omitempty"`
	Value string `json:"value,omitempty"`
	// Call and Return are times since the Recorder was made.
	Call    time.Duration `json:"call"`
	Return  time.Duration `json:"return"`
	Outcome Outcome       `json:"outcome"`
	Error   string        `json:"error,omitempty"`
}

// Recorder keeps operations in the order of their returns. Its clock is monotonic.
type Recorder struct {
	began time.Time

	mu  sync.Mutex
	ops []Op
}

// NewRecorder starts the clock.
func NewRecorder() *Recorder { return &Recorder{began: time.Now()} }

// Now is the time since the Recorder was made.
func (r *Recorder) Now() time.Duration { return time.Since(r.began) }

// At is when something was, by the Recorder's clock.
func (r *Recorder) At(t time.Time) time.Duration { return t.Sub(r.began) }

// Add records an operation that has returned now.
func (r *Recorder) Add(op Op) {
	r.mu.Lock()
	defer r.mu.Unlock()
	op.Return = time.Since(r.began)
	r.ops = append(r.ops, op)
}

// Ops are the operations so far.
func (r *Recorder) Ops() []Op {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.ops)
}

// Write writes operations to a file, a JSON object each.
func Write(path string, ops []Op) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	for _, op := range ops {
		if err := encoder.Encode(op); err != nil {
			return err
		}
	}
	return os.WriteFile(path, text.Bytes(), 0o644)
}
