// Package chaos is the report of kluster's chaos suite: what was measured while a cluster
// was broken, one row for each fault, and what it must be at most.
package chaos

import (
	"fmt"
	"time"
)

// Seconds are a time to report; none if it did not come to that.
type Seconds float64

// In gives a duration in Seconds, to the hundredth.
func In(d time.Duration) Seconds { return Seconds(d.Round(10 * time.Millisecond).Seconds()) }

func (s Seconds) String() string { return fmt.Sprintf("%.2f s", float64(s)) }

// Row is what one fault did.
type Row struct {
	// Name tells rows apart; Fault is what was done, as a command line, to the nodes Targets.
	Name    string    `json:"name"`
	Fault   string    `json:"fault"`
	Targets []string  `json:"targets"`
	Runtime string    `json:"runtime"`
	At      time.Time `json:"at"`
	// Lasted is how long until it was undone; 0 for what heals by itself.
	Lasted Seconds `json:"lastedSeconds"`

	// Detected is when the first operation through the load balancer came to nothing, and
	// NotReady when a node was first said to be so, both since the fault; nil: never.
	Detected *Seconds `json:"detectedSeconds"`
	NotReady *Seconds `json:"notReadySeconds"`
	// NodesNotReady are the nodes that were.
	NodesNotReady []string `json:"nodesNotReady"`
	// Written is when a write was acknowledged again, and Whole when all nodes were Ready,
	// all members of etcd voted, and every way led to acknowledged writes; both since
	// the undo, or the fault if it heals by itself.
	Written Seconds `json:"writtenSeconds"`
	Whole   Seconds `json:"wholeSeconds"`
	// Ready is the part of Whole until all nodes were Ready.
	Ready Seconds `json:"readySeconds"`

	// Before is the longest gap of any way before the fault: what the machine does by itself.
	Before Seconds `json:"gapBeforeSeconds"`
	// Ways are the ways to the API: the load balancer first.
	Ways []Way `json:"ways"`
	// CutOff are the writes acknowledged by the nodes that had no quorum while they had
	// none.
	CutOff int `json:"writesCutOff"`
	// Wrong is what the history has that registers could not have done.
	Wrong []string `json:"wrong"`

	// LeaderChanges of etcd, and the most members that led in one term.
	LeaderChanges int `json:"leaderChanges"`
	MostLeaders   int `json:"mostLeadersOfATerm"`
	// Restarted are the pods that restarted and had no part in the fault.
	Restarted []string `json:"restarted"`
	// Left is what the fault left behind.
	Left []string `json:"left"`
	// Pods answered all the time, on nodes that the fault has nothing to do with.
	Pods []Pod `json:"pods"`
	// Outside is what changed outside the cluster: on the host, and in the neighbour, a cluster
	// beside it. Neighbour is the longest time that its API was without an answer.
	Outside   []string `json:"outside"`
	Neighbour Seconds  `json:"neighbourGapSeconds"`
	// Started is how long "kluster node start" took, if that ended the fault.
	Started *Seconds `json:"startedSeconds,omitempty"`
	// Said is what the cluster said of the fault, where it has to.
	Said string `json:"said,omitempty"`

	Budgets []Budget `json:"budgets"`
}

// Way is what became of operations that went one way.
type Way struct {
	Name      string `json:"name"`
	Ops       int    `json:"ops"`
	Writes    int    `json:"writes"` // acknowledged
	Conflicts int    `json:"conflicts"`
	Failed    int    `json:"failed"`
	Unknown   int    `json:"unknown"`
	// Gap is the longest time of a client without an acknowledged write, since the fault.
	Gap Seconds `json:"gapSeconds"`
}

// Pod is what became of a pod that was asked again and again.
type Pod struct {
	Node string `json:"node"`
	// Answers are those while the fault held, or until all worked again if it heals by itself.
	Answers int `json:"answers"`
	// Pause is the longest time without one, from the fault until all worked again.
	Pause Seconds `json:"pauseSeconds"`
}

// LoadBalancer is the name of the way through it.
const LoadBalancer = "load balancer"

// way finds one by name.
func (r Row) way(name string) Way {
	for _, w := range r.Ways {
		if w.Name == name {
			return w
		}
	}
	return Way{Name: name}
}
