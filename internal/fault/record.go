package fault

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Active is a fault that is there, or is about to be.
type Active struct {
	ID      string            `json:"id"`
	Cluster string            `json:"cluster"`
	Kind    Kind              `json:"kind"`
	Nodes   []string          `json:"nodes"`
	Params  map[string]string `json:"params,omitempty"`
	Since   time.Time         `json:"since"`
	// Until is when it is undone; Since if it needed no undo.
	Until time.Time `json:"until"`
	Undo  Undo      `json:"undo"`
}

// Lasts says whether there is something to undo.
func (a Active) Lasts() bool { return a.Until.After(a.Since) }

// String is for people: "partition of c-worker-1, c-worker-2".
func (a Active) String() string {
	return fmt.Sprintf("%s of %s", a.Kind, strings.Join(a.Nodes, ", "))
}

// Order is what a node is told of a fault.
type Order struct {
	Active
	// Node is the one that is told.
	Node string `json:"node"`
	// Peers are the other side, for kinds with Between.
	Peers []Peer `json:"peers,omitempty"`
}

// Peer is a machine on the other side of a fault, seen from the node that is told: In
// says that what comes from it is hit, Out what goes to it.
type Peer struct {
	Name  string       `json:"name"`
	Addrs []netip.Addr `json:"addrs"`
	In    bool         `json:"in"`
	Out   bool         `json:"out"`
}

// OverdueTime bounds what a program spends on overdue faults of others before its own
// work.
const OverdueTime = 30 * time.Second

// UndoUnit is the unit of a node's systemd, without its kind, that undoes a fault: a timer
// with its service.
func UndoUnit(id string) string { return "kluster-undo-" + id }

// idForm is what an ID looks like: it is part of names of units, tables and files.
var idForm = regexp.MustCompile(`^[a-z0-9]{6,32}$`)

// CheckID sees that an ID can be one.
func CheckID(id string) error {
	if !idForm.MatchString(id) {
		return fmt.Errorf("%q is no ID of a fault", id)
	}
	return nil
}

// Check sees that an order can be obeyed, whoever it comes from.
func (o Order) Check() error {
	if err := CheckID(o.ID); err != nil {
		return err
	}
	for _, p := range o.Peers {
		if slices.ContainsFunc(p.Addrs, func(a netip.Addr) bool { return !a.IsValid() }) {
			return fmt.Errorf("the addresses of %s are unknown", p.Name)
		}
	}
	spec := Spec{Kind: o.Kind, Nodes: o.Nodes, For: o.Until.Sub(o.Since), Params: o.Params}
	_, err := spec.Complete()
	return err
}

// CodeRefused is the exit code of "kluster-node fault" for a fault that the node cannot
// do, or not now: nothing was changed.
const CodeRefused = 3
