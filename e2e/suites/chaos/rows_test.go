package chaos_test

import (
	"time"

	"github.com/kluster-project/kluster/e2e/chaos"
)

// row is a fault, what it is done to, and what must be.
type row struct {
	name  string
	on    target
	fault fault
	// lasts is how long until it is undone; 0 for what heals by itself.
	lasts time.Duration
	// refuses names the ways that may acknowledge no write while it lasts.
	refuses target
	// spares are the pods whose restarts have nothing to do with the fault.
	spares func(targets []string, p pod) bool
	// fresh: it wants a cluster of its own, that nothing was done to before.
	fresh bool
	// starts: "kluster node start" ends it, not kluster when its time is up.
	starts bool
	// stagger is how much longer it lasts on the second machine; 0: all are undone at once.
	stagger time.Duration
	// complains is what a target's own log must say while it lasts.
	complains string
	within    []chaos.Budget
}

// Budgets that several rows have.
var (
	gap      = chaos.Budget{Meter: chaos.Gap, Most: 5}
	ready    = chaos.Budget{Meter: chaos.Ready, Most: 30}
	back     = chaos.Budget{Meter: chaos.Back, Most: 30}
	goesOn   = chaos.Budget{Meter: chaos.Paused, Most: 2}
	whole    = chaos.Budget{Meter: chaos.Whole, Most: 30}
	recovers = chaos.Budget{Meter: chaos.Whole, Most: 15}
	refused  = chaos.Budget{Meter: chaos.Refused}
	written  = chaos.Budget{Meter: chaos.Written, Most: 30}
	said     = chaos.Budget{Meter: chaos.Silent}
	noneGone = chaos.Budget{Meter: chaos.NotReady}
	calm     = chaos.Budget{Meter: chaos.LeaderChanges, Most: 1}
)

const short = 20 * time.Second

// rows are the suite. Those that want a cluster of their own come last, so that the others have
// one.
var rows = []row{
	{
		name: "kill -9 a control plane", on: follower, fault: killed, lasts: short, starts: true, spares: elsewhere,
		within: []chaos.Budget{gap, back, goesOn},
	},
	{
		name: "kill -9 the control plane of etcd's leader", on: leader, fault: killed, lasts: short, starts: true, spares: elsewhere,
		within: []chaos.Budget{gap, back, goesOn},
	},
	{
		name: "pause the control plane of etcd's leader", on: leader, fault: paused, lasts: short, spares: elsewhere,
		within: []chaos.Budget{gap, ready, goesOn},
	},
	{
		name: "partition etcd's leader, both ways", on: leader, fault: partition("both"), lasts: short, refuses: themselves, spares: elsewhere,
		within: []chaos.Budget{refused, gap, whole, goesOn},
	},
	{
		name: "partition etcd's leader, what comes in", on: leader, fault: partition("in"), lasts: short, refuses: themselves, spares: elsewhere,
		within: []chaos.Budget{refused, gap, whole, goesOn},
	},
	{
		name: "partition etcd's leader, what goes out", on: leader, fault: partition("out"), lasts: short, refuses: themselves, spares: elsewhere,
		within: []chaos.Budget{refused, gap, whole, goesOn},
	},
	{
		name: "kill -9 two control planes of three", on: two, fault: killed, lasts: short, refuses: everyone, spares: elsewhereButLed, stagger: short,
		within: []chaos.Budget{refused, written, ready, goesOn},
	},
	{
		name: "SIGKILL haproxy in the load balancer", on: balancer, fault: process("haproxy"), spares: all,
		within: []chaos.Budget{gap, noneGone, goesOn},
	},
	{
		name: "restart all nodes", on: everyNode, fault: restarted, spares: none,
		within: []chaos.Budget{{Meter: chaos.Ready, Most: 60}},
	},
	{
		name: "disk full under etcd's leader", on: leader, fault: diskFull, lasts: short, spares: elsewhere, complains: "no space left on device",
		within: []chaos.Budget{gap, whole, said, goesOn},
	},
	{
		name: "100 ms between all nodes", on: everyNode, fault: latency("100ms"), lasts: short, spares: all,
		within: []chaos.Budget{gap, noneGone, calm},
	},
	{
		name: "5 % of the packets between all nodes lost", on: everyNode, fault: loss("5"), lasts: short, spares: all,
		within: []chaos.Budget{gap, noneGone, calm},
	},
	{
		name: "kill the kubelet", on: leader, fault: process("kubelet"), fresh: true, spares: all,
		within: []chaos.Budget{recovers, goesOn},
	},
	{
		name: "kill the container runtime", on: leader, fault: process("runtime"), fresh: true, spares: all,
		within: []chaos.Budget{recovers, goesOn},
	},
	{
		name: "kill etcd", on: leader, fault: process("etcd"), fresh: true, spares: butStatic("etcd"),
		within: []chaos.Budget{gap, recovers, goesOn},
	},
	{
		name: "kill the API server", on: leader, fault: process("apiserver"), fresh: true, spares: butStatic("kube-apiserver"),
		within: []chaos.Budget{gap, recovers, goesOn},
	},
}

// names are those of the rows, in their order.
func names() []string {
	var list []string
	for _, r := range rows {
		list = append(list, r.name)
	}
	return list
}
