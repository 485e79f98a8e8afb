// Package report is the result of a run of an e2e suite, and its forms: JSON for
// machines, JUnit for CI, one HTML file for people, a summary in Markdown, and
// the comparison of several.
package report

import "time"

// Format of the JSON form.
const (
	APIVersion = "kluster.dev/v1alpha1"
	Kind       = "E2EReport"
)

// State is what became of a spec.
type State string

// The states.
const (
	Passed State = "passed"
	Failed State = "failed"
	// Flaky: failed, and passed when it was run again. Never counted as passed.
	Flaky   State = "flaky"
	Skipped State = "skipped" // the suite itself decided to skip it
	// Missing: planned, but never ran, or ran and never ended.
	Missing State = "missing"
	// ExpectedFailure: failed, as a list of known failures says. UnexpectedPass: passed
	// though such a list says that it fails.
	ExpectedFailure State = "expected-failure"
	UnexpectedPass  State = "unexpected-pass"
)

// Report is one run.
type Report struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	Suite      string    `json:"suite"` // "conformance", "smoke", a path ...
	Started    time.Time `json:"started"`
	Ended      time.Time `json:"ended"`
	Procs      int       `json:"procs"`
	Seed       int64     `json:"seed"`
	Filter     Filter    `json:"filter"`
	// Resumed counts how often the run was taken up again after it was cut off.
	Resumed int `json:"resumed,omitempty"`
	// Interrupted says why the run ended before its specs had; "" if it did not.
	Interrupted string    `json:"interrupted,omitempty"`
	Clusters    []Cluster `json:"clusters"`
	// Parts are the programs and container images the run was made with.
	Parts []Part `json:"parts,omitempty"`
	Specs []Spec `json:"specs"`
	// Incidents are what went wrong beside specs: a node that was gone, an API
	// server that did not answer, a process of the suite that died.
	Incidents []Incident `json:"incidents,omitempty"`
	// Expectations names the list of known failures that the run was held against; ""
	// for none.
	Expectations string `json:"expectations,omitempty"`
}

// Filter is what was asked to run.
type Filter struct {
	Labels string   `json:"labels,omitempty"` // ginkgo's label filter
	Focus  []string `json:"focus,omitempty"`  // regular expressions
	Skip   []string `json:"skip,omitempty"`
}

// Cluster is a cluster that specs ran on.
type Cluster struct {
	Name       string `json:"name"`
	Kubernetes string `json:"kubernetes"` // the API server's version
	Nodes      []Node `json:"nodes"`
}

// Node is a node as the API showed it before the run.
type Node struct {
	Name    string `json:"name"`
	Role    string `json:"role"`
	Runtime string `json:"runtime"` // "containerd://2.4.2"
	Kubelet string `json:"kubelet"`
	Kernel  string `json:"kernel"`
	OS      string `json:"os"`
}

// Part is a program or container image that the run was made with.
type Part struct {
	Name    string `json:"name"` // "e2e.test", or an image's reference
	Version string `json:"version,omitempty"`
	Digest  string `json:"digest"`
	// StandIn says how it differs from upstream's; "" if it does not.
	StandIn string `json:"standIn,omitempty"`
}

// Spec is a spec with all of its attempts.
type Spec struct {
	Name     string    `json:"name"`
	Labels   []string  `json:"labels,omitempty"`
	State    State     `json:"state"`
	Attempts []Attempt `json:"attempts,omitempty"` // in order; none if Missing
	// LeftOut is why it is not run here, though it is of the suite; "" if it is.
	LeftOut string `json:"leftOut,omitempty"`
	// Expectation is why it is known to fail, nil if it is not.
	Expectation *Expectation `json:"expectation,omitempty"`
}

// Expectation is why a spec is known to fail.
type Expectation struct {
	Reason string `json:"reason"`
	Issue  string `json:"issue"` // a URL
}

// Attempt is one run of a spec.
type Attempt struct {
	Cluster string    `json:"cluster,omitempty"`
	Proc    int       `json:"proc"` // ginkgo's number, from 1
	Started time.Time `json:"started"`
	Seconds float64   `json:"seconds"`
	// State is ginkgo's word: passed, failed, skipped, panicked, timedout,
	// interrupted, aborted; "" while it never ended.
	State    string `json:"state"`
	Message  string `json:"message,omitempty"`
	Location string `json:"location,omitempty"`
	Output   string `json:"output,omitempty"`
	// Evidence is the folder with what was collected when it failed, relative to
	// the report's own.
	Evidence string `json:"evidence,omitempty"`
}

// Incident is something that happened beside the specs.
type Incident struct {
	Time time.Time `json:"time"`
	Text string    `json:"text"`
}
