package logs

import (
	"cmp"
	"slices"
	"strings"

	"github.com/kluster-project/kluster/internal/nodespec"
)

// Kind is a kind of cause.
type Kind string

// The kinds of causes. What comes first may be why the others are there.
const (
	KindNodeStopped   Kind = "node-stopped"
	KindDiskPressure  Kind = "disk-pressure"
	KindUnit          Kind = "unit"
	KindAPI           Kind = "api"
	KindControlPlane  Kind = "control-plane"
	KindNotReady      Kind = "node-not-ready"
	KindPressure      Kind = "node-pressure"
	KindOOM           Kind = "oom"
	KindImagePull     Kind = "image-pull"
	KindStart         Kind = "container-start"
	KindCrashLoop     Kind = "crash-loop"
	KindUnschedulable Kind = "unschedulable"
)

var kinds = []Kind{
	KindNodeStopped, KindDiskPressure, KindUnit, KindAPI, KindControlPlane, KindNotReady, KindPressure, KindOOM, KindImagePull, KindStart,
	KindCrashLoop, KindUnschedulable,
}

// Cause is something that is wrong, and may be why other things are.
type Cause struct {
	Kind Kind `json:"kind"`
	// Node is the machine it is on, and Object what it is about: a unit, an image,
	// NAMESPACE/POD/CONTAINER; "" where that is not known.
	Node   string `json:"node,omitempty"`
	Object string `json:"object,omitempty"`
	// Text says it in a sentence without a full stop.
	Text string `json:"text"`
	// ExitCode is a container's; nil of others.
	ExitCode *int `json:"exitCode,omitempty"`
	// Times is how often it was said; 0 if that is not counted.
	Times int `json:"times,omitempty"`
	// Line is the last line of a log that tells of it.
	Line string `json:"line,omitempty"`
	// File is the one of the bundle to look into.
	File string `json:"file,omitempty"`

	// asAPI: not told where the API answers; kernel: not told where the containers of
	// the node tell of it.
	asAPI, kernel bool
}

// causes are what was found, the likeliest first.
func (e *export) causes() []Cause {
	all := append([]Cause{}, e.findings...) // no null in JSON
	if e.api.answers {
		all = append(all, nodeCauses(e.api.nodes)...)
		all = append(all, podCauses(e.api.pods, e.taken)...)
	} else {
		for _, n := range e.nodes {
			all = append(all, containerCauses(n.Name, n.file(containersFile), n.containers)...)
			if n.asked && n.Role == string(nodespec.RoleControlPlane) {
				all = append(all, controlPlaneCauses(n.Name, n.file(containersFile), n.containers)...)
			}
		}
	}
	oomIn := map[string]bool{}
	stopped := map[string]bool{}
	for _, c := range all {
		oomIn[c.Node] = oomIn[c.Node] || c.Kind == KindOOM && !c.kernel
		stopped[c.Node] = stopped[c.Node] || c.Kind == KindNodeStopped
	}
	all = slices.DeleteFunc(all, func(c Cause) bool {
		return c.asAPI && e.api.answers || c.kernel && oomIn[c.Node] || c.Kind == KindNotReady && stopped[c.Node]
	})
	for i := range all {
		e.addLine(&all[i])
	}
	return inOrder(all)
}

// addLine adds the last line of the log of the container that a cause is about.
func (e *export) addLine(c *Cause) {
	if c.Line != "" || c.Object == "" {
		return
	}
	for _, n := range e.nodes {
		if line, ok := n.lastLines[c.Object]; ok && (c.Node == "" || c.Node == n.Name) {
			c.Line, c.File = line, n.lastFiles[c.Object].name
			return
		}
	}
}

// inOrder sorts causes by kind, those of the control plane's pods first, and drops
// those that are told twice.
func inOrder(all []Cause) []Cause {
	slices.SortStableFunc(all, func(a, b Cause) int {
		return cmp.Or(
			cmp.Compare(slices.Index(kinds, a.Kind), slices.Index(kinds, b.Kind)), ofSystem(b)-ofSystem(a),
			strings.Compare(a.Node, b.Node), strings.Compare(a.Object, b.Object), strings.Compare(a.Text, b.Text),
		)
	})
	return slices.CompactFunc(all, func(a, b Cause) bool {
		return a.Kind == b.Kind && a.Node == b.Node && a.Object == b.Object && a.Text == b.Text
	})
}

// ofSystem is 1 for what is about Kubernetes' own pods.
func ofSystem(c Cause) int {
	if strings.HasPrefix(c.Object, "kube-system/") {
		return 1
	}
	return 0
}
