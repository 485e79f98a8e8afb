package nodelog

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/kluster-project/kluster/internal/trace"
)

// line is what a program said and when.
type line struct {
	// source is a systemd unit ("kubelet.service") or a container ("etcd").
	source string
	// program tells programs of one source apart: the coredns of two pods.
	program string
	at      time.Time
	text    string
	// first: the program has said nothing before.
	first bool
}

// mark is a line that says how far a program is. Its name may use what the
// expression has captured ("$1").
type mark struct {
	source, name string
	pattern      *regexp.Regexp
	// waits: the program came to this when another, such as the API, let it; so
	// the time before it explains nothing.
	waits bool
}

var re = regexp.MustCompile

// stages are marks of programs that do one thing after the other: the time
// from one to the next is a span.
var stages = []mark{
	{"kubelet.service", "process runs", re(`"Kubelet version"`), false},
	{"kubelet.service", "configuration is read", re(`Adding static pod path`), false},
	{"kubelet.service", "runtime answers", re(`Container runtime initialized`), false},
	{"kubelet.service", "serves", re(`"?Starting to listen"? `), false},
	{"kubelet.service", "has started", re(`"Started kubelet"`), false},
	{"kubelet.service", "main loop runs", re(`Starting kubelet main sync loop`), false},
	{"kubelet.service", "tries to register", re(`Attempting to register node`), true},
	{"kubelet.service", "registration fails", re(`Unable to register node`), true},
	{"kubelet.service", "registered", re(`Successfully registered node`), true},
	{"kubelet.service", "watches for pods", re(`"Watching apiserver"`), true},
	{"kubelet.service", "node ready", re(`Fast updating node status as it just became ready`), true},

	{"containerd.service", "process runs", re(`^starting containerd`), false},
	{"containerd.service", "up", re(`^containerd successfully booted`), false},

	{"etcd", "program begins", re(`"msg":"starting an etcd server"`), false},
	{"etcd", "database is open", re(`"msg":"opened backend db"`), false},
	{"etcd", "has a leader", re(`elected leader`), false},
	{"etcd", "serves", re(`"msg":"ready to serve client requests"`), false},

	{"kube-apiserver", "etcd does not answer", re(`127\.0\.0\.1:2379.*(?:connection refused|deadline exceeded)`), false},
	{"kube-apiserver", "serves", re(`Serving securely on`), false},
	{"kube-apiserver", "own types are registered", re(`"Caches are synced" controller="crd-autoregister"`), false},
	{"kube-apiserver", "priority classes are there", re(`all system priority classes are created`), false},

	{"kube-controller-manager", "serves", re(`Serving securely on`), false},
	{"kube-scheduler", "serves", re(`Serving securely on`), true},
	{"kube-controller-manager", "wants to lead", re(`(?i)attempting to acquire leader lease`), false},
	{"kube-scheduler", "wants to lead", re(`(?i)attempting to acquire leader lease`), true},
	{"kube-controller-manager", "starts its controllers", re(`"Starting service account controller"`), false},
	{"kube-controller-manager", "leads", re(`(?i)successfully acquired lease`), true},
	{"kube-scheduler", "leads", re(`(?i)successfully acquired lease`), true},

	{"kube-proxy", "knows Services and endpoints", re(`"Caches are synced" controller="endpoint slice config"`), false},
	{"coredns", "serves", re(`CoreDNS-\d`), false},
}

// marks are all others: they are shown, but what came before one need not be
// why it came when it did.
var marks = []mark{
	{"kubelet.service", "sees from $1: $2", re(`"SyncLoop ADD" source="(\w+)" pods=\["?([^\]]*?)"?\]`), false},
	{"kubelet.service", "network is not ready", re(`(?i)network plugin (?:returns error: cni plugin|is) not (?:initialized|ready)|cni plugin not initialized`), false},
	{"kubelet.service", "node not ready: $1", re(`"Node became not ready".*reason:?"?([A-Za-z]+)`), false},
	{"kubelet.service", "pod range $1", re(`"Updating Pod CIDR".*newPodCIDR="([^"]*)"`), false},
	{"kubelet.service", "mirror pod of $1", re(`"Creating a mirror pod for static pod" pod="([^"]+)"`), false},
	{"kubelet.service", "back-off of $1", re(`back-off \S+ restarting failed container=(\S+)`), false},
	{"kubelet.service", "$1 is up after $2", re(`"Observed pod startup duration" pod="([^"]+)" podStartSLOduration="?([^ "]+)`), false},
	{"kubelet.service", "lease fails, again in $1", re(`"Failed to ensure lease exists, will retry".*interval="([^"]+)"`), false},
	{"etcd", "became leader", re(`became leader at term`), false},
	{"etcd", "slow request: $1", re(`"msg":"apply request took too long","took":"([^"]+)"`), false},
	{"kube-apiserver", "cache of $1 is synced", re(`"Caches are synced" controller="(node_authorizer|cluster_authentication_trust_controller)"`), false},
	{"kube-apiserver", "ends", re(`"?\[graceful-termination\] shutdown event|Shutting down kubernetes service`), false},
	{"kube-controller-manager", "range of node $1", re(`"Set node PodCIDR".*node="([^"]+)"`), false},
	{"kube-proxy", "rules are written", re(`(?i)SyncProxyRules complete`), false},
	{"coredns", "waits for the API", re(`plugin/(?:kubernetes|ready).*[Ww]aiting`), false},
}

// maxMarks bounds how often one mark of one source is shown.
const maxMarks = 50

// marked turns lines into spans on node's track, and sorts the lines by time.
func marked(node string, all []line) []trace.Span {
	slices.SortStableFunc(all, func(a, b line) int { return a.at.Compare(b.at) })
	work := newStretcher(node)
	last := map[string]trace.Span{} // stage by program
	count := map[string]int{}
	var spans []trace.Span
	for _, l := range all {
		lane := laneOf(l.source)
		if l.first {
			now := stage(node, lane, "first line", l, trace.Span{})
			spans, last[l.program] = append(spans, now), now
		}
		for _, m := range stages {
			if name, ok := m.in(l); ok {
				now := stage(node, lane, name, l, last[l.program])
				last[l.program] = now
				spans = append(spans, now)
				if m.waits {
					spans = append(spans, stage(node, lane, name, l, trace.Span{}))
					spans[len(spans)-2].Kind = trace.State
				}
			}
		}
		for _, m := range marks {
			if name, ok := m.in(l); ok && count[l.source+m.name] < maxMarks {
				count[l.source+m.name]++
				spans = append(spans, trace.Span{
					Kind: trace.State, Track: node, Lane: lane, Name: name, Start: l.at, End: l.at, Args: args("line", l.text),
				})
			}
		}
		spans = append(spans, work.read(l)...)
	}
	return spans
}

// stage is the time since the stage before; an instant if there was none.
func stage(node, lane, name string, l line, before trace.Span) trace.Span {
	s := trace.Span{Track: node, Lane: lane, Name: name, Start: l.at, End: l.at, Args: args("line", l.text)}
	if !before.End.IsZero() {
		s.Start = before.End
	}
	return s
}

// in is the name of the mark if l is such a line.
func (m mark) in(l line) (string, bool) {
	if m.source != l.source {
		return "", false
	}
	found := m.pattern.FindStringSubmatchIndex(l.text)
	if found == nil {
		return "", false
	}
	return string(m.pattern.ExpandString(nil, m.name, l.text, found)), true
}

func laneOf(source string) string { return strings.TrimSuffix(source, ".service") }
