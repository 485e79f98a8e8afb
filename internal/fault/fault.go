// Package fault is the table of faults that a cluster can be given on purpose: for
// each kind, as data, what it is told, which machines it takes, how long it lasts and
// where its undo waits. It holds what a fault is written down as, too: the wish for
// one (Spec), one that is there (Active), and what a node is told (Order).
//
// It does nothing itself: internal/nodeagent/faults does what happens inside nodes,
// and internal/cluster the rest.
package fault

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kluster-project/kluster/internal/nodespec"
)

// Kind names a kind of fault.
type Kind string

// The kinds.
const (
	Kill        Kind = "kill"
	Pause       Kind = "pause"
	Partition   Kind = "partition"
	Latency     Kind = "latency"
	Loss        Kind = "loss"
	Bandwidth   Kind = "bandwidth"
	DiskFull    Kind = "disk-full"
	KillProcess Kind = "kill-process"
	CPU         Kind = "cpu"
	Memory      Kind = "memory"
)

// Undo says where the undo of a fault waits.
type Undo string

// The places of undos.
const (
	// ByNode: a timer of the node's own systemd.
	ByNode Undo = "node"
	// ByGuard: a process of the host, for what a node cannot undo itself.
	ByGuard Undo = "guard"
)

// How long faults last, unless their row says more. Longest bounds what a forgotten one
// can do.
const (
	DefaultFor = 30 * time.Second
	Shortest   = time.Second
	Longest    = time.Hour
)

// Info is one row of the table.
type Info struct {
	Kind Kind
	// Help says in a few words what happens to the machines that are named.
	Help string
	// Undo is where the undo waits, and Undone what it does.
	Undo   Undo
	Undone string
	// Takes are the roles of the machines that can be named.
	Takes []nodespec.Role
	// Between: it is a fault of what goes between the machines that are named and
	// others, and done on either side of these.
	Between bool
	// Once: it happens at once and needs no undo, unless a duration is asked for.
	Once bool
	// Shortest is how long it lasts at least, where that is more than for others: it
	// counts from before the fault is begun, and one that takes long would be over when
	// it holds.
	Shortest time.Duration
	// SlowUndo: to undo it takes long, and must not end half-way because whoever has asked
	// for it is gone. The node's systemd does it then, as when its time is up.
	SlowUndo bool
	Params   []Param
	// Limits are what it cannot do, for people.
	Limits string
}

// Param is a parameter of a kind.
type Param struct {
	Name string
	// Word stands for a value in help: "SIZE"; Words are all values there are, nil if
	// they cannot be listed.
	Word  string
	Words []string
	// Default counts when it is not given; "" then means what Help says.
	Default string
	// Needed: it has no default.
	Needed bool
	Help   string
	// Check sees that a value can be meant; nil takes any of Words, or all.
	Check func(value string) error
}

// Names of the parameters that every kind with Between has.
const (
	ParamFrom      = "from"
	ParamDirection = "direction"
)

// Directions of what is cut or slowed: from the machines named, to them, or both.
const (
	Both = "both"
	In   = "in"
	Out  = "out"
)

// fromParam is the other side.
var fromParam = Param{Name: ParamFrom, Word: "NODE,...", Help: "the machines on the other side (default: all others of the cluster)", Check: checkNames}

// between are the parameters of every kind with Between.
var between = []Param{
	fromParam,
	{Name: ParamDirection, Words: []string{Both, In, Out}, Default: Both, Help: "what is hit: both ways, what comes in to the nodes named, or what goes out of them"},
}

// Groups of roles.
var (
	nodes    = []nodespec.Role{nodespec.RoleControlPlane, nodespec.RoleWorker}
	machines = append(slices.Clone(nodes), nodespec.RoleLoadBalancer)
)

// Kinds lists all kinds in the order of the table.
func Kinds() []Info { return slices.Clone(table) }

// Get finds a kind by name.
func Get(kind Kind) (Info, error) {
	i := slices.IndexFunc(table, func(info Info) bool { return info.Kind == kind })
	if i < 0 {
		return Info{}, fmt.Errorf("unknown kind of fault %q (known: %s)", kind, strings.Join(names(), ", "))
	}
	return table[i], nil
}

func names() []string {
	var all []string
	for _, info := range table {
		all = append(all, string(info.Kind))
	}
	return all
}

// UndoesSlowly says whether to undo faults of a kind takes long (Info.SlowUndo).
func UndoesSlowly(kind Kind) bool {
	info, err := Get(kind)
	return err == nil && info.SlowUndo
}

// AtLeast is how long a fault of this kind lasts at least.
func (i Info) AtLeast() time.Duration { return max(i.Shortest, Shortest) }

// TakesRole says whether a machine of that role can be named.
func (i Info) TakesRole(role nodespec.Role) bool { return slices.Contains(i.Takes, role) }

// param finds a parameter by name.
func (i Info) param(name string) (Param, bool) {
	at := slices.IndexFunc(i.Params, func(p Param) bool { return p.Name == name })
	if at < 0 {
		return Param{}, false
	}
	return i.Params[at], true
}
