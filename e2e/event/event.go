// Package event is what a running suite tells the runner: one JSON object per
// line on a unix socket, one connection per parallel process of the suite. The
// runner keeps every line in the run's events.jsonl, so that a run that was cut
// off can be reported and resumed.
//
// The suite's side is e2e/suite, which is compiled beside Kubernetes' own test
// packages and therefore cannot import this package: a test holds the two
// together.
package event

import "time"

// SocketEnv is the environment variable by which a suite learns the path of the
// runner's socket. A suite without it tells nothing.
const SocketEnv = "KLUSTER_E2E_SOCKET"

// Kind says what an event is about.
type Kind string

// The kinds.
const (
	// Start: a spec begins.
	Start Kind = "start"
	// Failing: a spec has failed and is about to clean up. The suite waits for
	// the runner's Ack, up to a minute, so that evidence can be had.
	Failing Kind = "failing"
	// End: a spec has ended; State, Seconds and, unless it passed, Message,
	// Location and Output are set.
	End Kind = "end"
)

// Event is one line.
type Event struct {
	Time time.Time `json:"time"`
	Kind Kind      `json:"kind"`
	// Proc is ginkgo's number of the parallel process, from 1.
	Proc int `json:"proc"`
	// Spec is the full name, without the suite's own description.
	Spec   string   `json:"spec"`
	Labels []string `json:"labels,omitempty"`
	// State is ginkgo's: passed, failed, skipped, pending, panicked, timedout,
	// interrupted, aborted.
	State   string  `json:"state,omitempty"`
	Seconds float64 `json:"seconds,omitempty"`
	// Message is the failure, or why the spec was skipped.
	Message  string `json:"message,omitempty"`
	Location string `json:"location,omitempty"` // FILE:LINE of the failure
	// Output is what the spec wrote, at most its last 256 KiB.
	Output string `json:"output,omitempty"`
	// RunID is the value of the label e2e-run of the namespaces that this
	// process made ("" where the suite is not Kubernetes' own).
	RunID string `json:"runID,omitempty"`
}

// Ack is the runner's answer to Failing: this line.
const Ack = "ok\n"
