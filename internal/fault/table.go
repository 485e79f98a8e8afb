package fault

import (
	"slices"
	"time"

	"github.com/kluster-project/kluster/internal/nodespec"
)

// Names of parameters.
const (
	ParamProcess = "process"
	ParamCPUs    = "cpus"
	ParamSize    = "size"
)

// table holds every kind; the command line, its help and docs/faults.md are made of it.
var table = []Info{
	{
		Kind: Kill, Help: "kill the first process of nodes (SIGKILL), as a power cut does",
		Undo: ByGuard, Undone: "they are started again", Takes: machines,
	},
	{
		Kind: Pause, Help: "freeze nodes: nothing in them runs, and their connections stay open",
		Undo: ByGuard, Undone: "they run on", Takes: machines,
	},
	{
		Kind: Partition, Help: "cut nodes off from the other machines of the cluster",
		Undo: ByNode, Undone: "the packet rules are removed", Takes: machines, Between: true, Params: between,
		Limits: "the host still reaches the nodes; what is sent to the other side vanishes, but UDP senders on the cut node itself hear EPERM",
	},
	{
		Kind: Latency, Help: "have what other machines send to nodes arrive late",
		Undo: ByNode, Undone: "packets arrive at once again", Takes: machines, Between: true,
		Params: []Param{
			fromParam,
			{Name: ParamDelay, Word: "TIME", Default: "100ms", Help: "how much longer a round trip takes", Check: checkDelay},
			{Name: ParamJitter, Word: "TIME", Default: "0s", Help: "how far single packets are from that, either way; their order is kept", Check: checkDelay},
		},
		Limits: "the delay is in one direction, so that a round trip is late once, or twice between two nodes that are both late",
	},
	{
		Kind: Loss, Help: "lose some of the packets between nodes and the other machines",
		Undo: ByNode, Undone: "the packet rules are removed", Takes: machines, Between: true,
		Params: slices.Concat(between, []Param{{Name: ParamPercent, Word: "N", Default: "10", Help: "how many of a hundred packets, in each direction", Check: checkPercent}}),
		Limits: "each packet is lost or not whatever became of the one before it; packets between machines of one host hold up to 64 KiB, so that fewer are lost than on a wire, and more at a time",
	},
	{
		Kind: Bandwidth, Help: "limit what goes between nodes and the other machines",
		Undo: ByNode, Undone: "the queue and the packet rules are removed", Takes: machines, Between: true,
		Params: slices.Concat(between, []Param{{Name: ParamRate, Word: "RATE", Default: "10mbit", Help: `bits per second in each direction, "512kbit" or "10mbit"`, Check: checkRate}}),
		Limits: "what leaves waits its turn; of what arrives, what is too much is lost, but for as much as has a second to arrive",
	},
	{
		Kind: DiskFull, Help: "fill the disk of etcd's data on control planes, until every write fails (ENOSPC)",
		Undo: ByNode, Undone: "there is space again and etcd is started", Takes: []nodespec.Role{nodespec.RoleControlPlane},
		Shortest: 20 * time.Second, SlowUndo: true,
		Limits: "etcd is started again before and after it, with its data on a file system of its own, so that the host's disk is never filled; its duration counts from before that, which takes some seconds",
	},
	{
		Kind: KillProcess, Help: "kill one process of nodes (SIGKILL), once or for a while whenever it comes back",
		Undo: ByNode, Undone: "what supervises it starts it again", Takes: machines, Once: true,
		Params: []Param{{Name: ParamProcess, Words: ProcessNames(), Needed: true, Help: "what is killed"}},
		Limits: "a static pod that is killed again and again is started ever less often by the kubelet, which then is restarted at the end",
	},
	{
		Kind: CPU, Help: "keep the processors of nodes busy",
		Undo: ByNode, Undone: "the process that does it is ended", Takes: nodes,
		Params: []Param{{Name: ParamCPUs, Word: "N", Help: "how many processors (default: all that the node has)", Check: checkCount}},
		Limits: "a node without a limit of its own (cpus) shares the processors of the host with everybody",
	},
	{
		Kind: Memory, Help: "use up memory of nodes",
		Undo: ByNode, Undone: "the process that does it is ended", Takes: nodes,
		Params: []Param{{Name: ParamSize, Word: "SIZE", Help: `how much, "512Mi" (default: 90% of what a node with a limit has left; needed without one)`, Check: checkSize}},
		Limits: "of all processes the one that uses the memory is the first to be killed when there is none left; a node without a limit of its own (memory) shares that of the host",
	},
}

// Process is something that kill-process kills.
type Process struct {
	Name string
	// Unit is the systemd unit whose main process it is, "" if it is none. Runtime: it
	// is the unit of the node's container runtime.
	Unit    string
	Runtime bool
	// Pod is the static pod whose container it is, and Program the name of its file.
	Pod     string
	Program string
	// Balancer: it runs in the load balancer, and nowhere else.
	Balancer bool
	// ControlPlane: only control planes have it.
	ControlPlane bool
}

// processes are in the order that people look for them.
var processes = []Process{
	{Name: "kubelet", Unit: "kubelet.service"},
	{Name: "runtime", Runtime: true},
	{Name: "etcd", Pod: "etcd", Program: "etcd", ControlPlane: true},
	{Name: "apiserver", Pod: "kube-apiserver", Program: "kube-apiserver", ControlPlane: true},
	{Name: "controller-manager", Pod: "kube-controller-manager", Program: "kube-controller-manager", ControlPlane: true},
	{Name: "scheduler", Pod: "kube-scheduler", Program: "kube-scheduler", ControlPlane: true},
	{Name: "haproxy", Program: "haproxy", Balancer: true},
}

// ProcessNames lists what kill-process can kill.
func ProcessNames() []string {
	all := make([]string, 0, len(processes))
	for _, p := range processes {
		all = append(all, p.Name)
	}
	return all
}

// GetProcess finds what kill-process is to kill.
func GetProcess(name string) (Process, bool) {
	i := slices.IndexFunc(processes, func(p Process) bool { return p.Name == name })
	if i < 0 {
		return Process{}, false
	}
	return processes[i], true
}
