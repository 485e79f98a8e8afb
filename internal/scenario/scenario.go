// Package scenario reads and runs scenarios: files that say which faults happen to a
// cluster, in which order, what is waited for meanwhile, and what must hold. Whatever
// becomes of a run, the faults that it has begun are undone.
package scenario

import "strings"

// Scenario is a file.
type Scenario struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	// Needs is what the cluster must have.
	Needs Needs `json:"needs"`
	// Timeout ends the run; "" for DefaultTimeout.
	Timeout string `json:"timeout"`
	// Steps happen one after the other.
	Steps []Step `json:"steps"`
}

// Needs are numbers of nodes that a scenario makes sense with.
type Needs struct {
	ControlPlanes int `json:"controlPlanes"`
	Workers       int `json:"workers"`
}

// Step is one thing that happens. It has one of Fault, Clear, Wait, Check and Parallel.
type Step struct {
	// Name is for the report; "" for one that says what the step is.
	Name string `json:"name"`
	// Fault begins one, and the step ends when it holds.
	Fault *Fault `json:"fault"`
	// Clear undoes all faults that the scenario has begun.
	Clear bool   `json:"clear"`
	Wait  *Wait  `json:"wait"`
	Check *Check `json:"check"`
	// Parallel are steps that happen at the same time.
	Parallel []Step `json:"parallel"`
}

// Fault is one of those of "kluster fault".
type Fault struct {
	Kind string `json:"kind"`
	// Nodes are selectors; see Selectors.
	Nodes []string `json:"nodes"`
	// As names the nodes that were found, for selectors of later steps: "$NAME".
	As string `json:"as"`
	// For is how long it lasts; "" for the kind's own default.
	For string `json:"for"`
	// From are selectors of the other side, for faults of what goes between nodes; those of
	// Nodes do not count among them.
	From []string `json:"from"`
	// Params are further parameters of the kind.
	Params map[string]string `json:"params"`
}

// Wait is a pause, or lasts until something holds.
type Wait struct {
	For   string     `json:"for"`
	Until *Condition `json:"until"`
	// Timeout is how long Until may take; "" for DefaultWait.
	Timeout string `json:"timeout"`
}

// Check fails the scenario if something does not hold.
type Check struct {
	That *Condition `json:"that"`
	// Within is how long it may take until it holds; "" for not at all.
	Within string `json:"within"`
	// During is how long it must go on to hold, asked every half second; "" for a moment.
	During string `json:"during"`
}

// Condition is something that holds or does not. It has one field.
type Condition struct {
	// Ready are selectors of nodes that are all Ready, and NotReady of those of which
	// none is.
	Ready    []string `json:"ready"`
	NotReady []string `json:"notReady"`
	// Answers are machines (control planes, the load balancer) by which the API says that
	// it is ready, and Silent those by which it does not.
	Answers []string `json:"answers"`
	Silent  []string `json:"silent"`
	// Writes are those by which a write is acknowledged, Refuses those by which it is not.
	Writes  []string `json:"writes"`
	Refuses []string `json:"refuses"`
	// Pods are all Ready, and there are some.
	Pods *Pods `json:"pods"`
	// Undone: no fault of the scenario is there any more.
	Undone bool `json:"undone"`
	// Command runs on this machine, with KUBECONFIG set, and ends with ExitCode.
	Command *Command `json:"command"`
}

// Pods are some of a namespace.
type Pods struct {
	Namespace string `json:"namespace"`
	// Selector is one of labels, as kubectl takes it.
	Selector string `json:"selector"`
}

// Command is a program with its arguments, which needs no shell.
type Command struct {
	Args     []string `json:"args"`
	ExitCode int      `json:"exitCode"`
}

// Summary is the first sentence of the description.
func (s *Scenario) Summary() string {
	first, _, _ := strings.Cut(strings.Join(strings.Fields(s.Description), " "), ". ")
	return strings.TrimSuffix(first, ".")
}
