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
	at     time.Time
	text   string
	// first: the program has said nothing before.
	first bool
}

// mark is a line that says how far a program is. Its name may use what the
// expression has captured ("$1").
type mark struct {
	source, name string
	pattern      *regexp.Regexp
}

var re = regexp.MustCompile

// stages are marks of programs that do one thing after the other: the time
// from one to the next is a span.
var stages = []mark{
	{"kubelet.service", "process runs", re(`"Kubelet version"`)},
	{"kubelet.service", "configuration is read", re(`Adding static pod path`)},
	{"kubelet.service", "runtime answers", re(`Container runtime initialized`)},
	{"kubelet.service", "serves", re(`"?Starting to listen"? `)},
	{"kubelet.service", "main loop runs", re(`Starting kubelet main sync loop`)},
	{"kubelet.service", "tries to register", re(`Attempting to register node`)},
	{"kubelet.service", "registration fails", re(`Unable to register node`)},
	{"kubelet.service", "registered", re(`Successfully registered node`)},
	{"kubelet.service", "node ready", re(`Fast updating node status as it just became ready`)},

	{"containerd.service", "process runs", re(`^starting containerd`)},
	{"containerd.service", "up", re(`^containerd successfully booted`)},

	{"etcd", "program begins", re(`"msg":"starting an etcd server"`)},
	{"etcd", "database is open", re(`"msg":"opened backend db"`)},
	{"etcd", "has a leader", re(`elected leader`)},
	{"etcd", "serves", re(`"msg":"ready to serve client requests"`)},

	{"kube-apiserver", "etcd does not answer", re(`127\.0\.0\.1:2379.*(?:connection refused|deadline exceeded)`)},
	{"kube-apiserver", "serves", re(`Serving securely on`)},
	{"kube-apiserver", "own types are registered", re(`"Caches are synced" controller="crd-autoregister"`)},
	{"kube-apiserver", "priority classes are there", re(`all system priority classes are created`)},

	{"kube-controller-manager", "serves", re(`Serving securely on`)},
	{"kube-scheduler", "serves", re(`Serving securely on`)},
	{"kube-controller-manager", "wants to lead", re(`(?i)attempting to acquire leader lease`)},
	{"kube-scheduler", "wants to lead", re(`(?i)attempting to acquire leader lease`)},
	{"kube-controller-manager", "leads", re(`(?i)successfully acquired lease`)},
	{"kube-scheduler", "leads", re(`(?i)successfully acquired lease`)},

	{"kube-proxy", "knows Services and endpoints", re(`"Caches are synced" controller="endpoint slice config"`)},
	{"coredns", "serves", re(`CoreDNS-\d`)},
}

// marks are all others: they are shown, but what came before one need not be
// why it came when it did.
var marks = []mark{
	{"kubelet.service", "sees from $1: $2", re(`"SyncLoop ADD" source="(\w+)" pods=\["?([^\]]*?)"?\]`)},
	{"kubelet.service", "network is not ready", re(`(?i)network plugin (?:returns error: cni plugin|is) not (?:initialized|ready)|cni plugin not initialized`)},
	{"kubelet.service", "node not ready: $1", re(`"Node became not ready".*reason:?"?([A-Za-z]+)`)},
	{"kubelet.service", "pod range $1", re(`"Updating Pod CIDR".*newPodCIDR="([^"]*)"`)},
	{"kubelet.service", "mirror pod of $1", re(`"Creating a mirror pod for static pod" pod="([^"]+)"`)},
	{"kubelet.service", "back-off of $1", re(`back-off \S+ restarting failed container=(\S+)`)},
	{"kubelet.service", "$1 is up after $2", re(`"Observed pod startup duration" pod="([^"]+)" podStartSLOduration="?([^ "]+)`)},
	{"kubelet.service", "lease fails, again in $1", re(`"Failed to ensure lease exists, will retry".*interval="([^"]+)"`)},
	{"etcd", "became leader", re(`became leader at term`)},
	{"etcd", "slow request: $1", re(`"msg":"apply request took too long","took":"([^"]+)"`)},
	{"kube-apiserver", "cache of $1 is synced", re(`"Caches are synced" controller="(node_authorizer|cluster_authentication_trust_controller)"`)},
	{"kube-apiserver", "ends", re(`"?\[graceful-termination\] shutdown event|Shutting down kubernetes service`)},
	{"kube-controller-manager", "range of node $1", re(`"Set node PodCIDR".*node="([^"]+)"`)},
	{"kube-proxy", "rules are written", re(`(?i)SyncProxyRules complete`)},
	{"coredns", "waits for the API", re(`plugin/(?:kubernetes|ready).*[Ww]aiting`)},
}

// maxMarks bounds how often one mark of one source is shown.
const maxMarks = 50

// marked turns lines into spans on node's track, and sorts the lines by time.
func marked(node string, all []line) []trace.Span {
	slices.SortStableFunc(all, func(a, b line) int { return a.at.Compare(b.at) })
	work := newStretcher(node)
	last := map[string]trace.Span{} // stage by source
	count := map[string]int{}
	var spans []trace.Span
	for _, l := range all {
		lane := laneOf(l.source)
		if l.first {
			now := stage(node, lane, "first line", l, trace.Span{})
			spans, last[l.source] = append(spans, now), now
		}
		for _, m := range stages {
			if name, ok := m.in(l); ok {
				now := stage(node, lane, name, l, last[l.source])
				spans, last[l.source] = append(spans, now), now
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
