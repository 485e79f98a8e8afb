package watch

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"

	"github.com/kluster-project/kluster/internal/status"
	"github.com/kluster-project/kluster/internal/wait"
)

// watched are the nodes that were Ready once and have a kubelet: specs make nodes of
// their own, say that they are Ready, and delete them.
type watched struct {
	Options
	*teller
	nodes map[string]*nodeState
	// heard says when a node's kubelet last said that it lives, "" if nobody knows.
	heard func(node string) string
	// brokeOff hears when a watch broke off.
	brokeOff func(at time.Time)
}

type nodeState struct {
	since time.Time // when it stopped being Ready; zero while it is
	why   string
	gone  bool
}

// followNodes tells of the times that nodes were not Ready.
func followNodes(ctx context.Context, client kubernetes.Interface, a *api) {
	w := &watched{
		Options: a.Options, teller: a.teller, nodes: map[string]*nodeState{}, brokeOff: a.brokeOff,
		heard: func(node string) string { return lastHeard(ctx, client, node) },
	}
	for ctx.Err() == nil {
		w.follow(ctx, client)
		wait.For(ctx, every)
	}
	w.end(time.Now())
}

// follow lists the nodes and watches them until the watch breaks off.
func (w *watched) follow(ctx context.Context, client kubernetes.Interface) {
	listing, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	list, err := client.CoreV1().Nodes().List(listing, metav1.ListOptions{})
	if err != nil {
		return // the API's gap is told by another
	}
	w.see(list.Items, time.Now())
	changes, err := client.CoreV1().Nodes().Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if err != nil {
		return
	}
	defer changes.Stop()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			w.overdue(time.Now())
		case e, ok := <-changes.ResultChan():
			if !ok {
				w.brokeOff(time.Now())
			}
			if !ok || !w.change(e, time.Now()) {
				return
			}
		}
	}
}

// see takes in a list of all nodes.
func (w *watched) see(nodes []corev1.Node, now time.Time) {
	for i := range nodes {
		w.update(&nodes[i], now)
	}
	for name := range w.nodes {
		if !slices.ContainsFunc(nodes, func(n corev1.Node) bool { return n.Name == name }) {
			w.remove(name, now)
		}
	}
}

// change is false where the watch cannot go on.
func (w *watched) change(e watch.Event, now time.Time) bool {
	n, ok := e.Object.(*corev1.Node)
	if !ok {
		return false
	}
	if e.Type == watch.Deleted {
		w.remove(n.Name, now)
	} else {
		w.update(n, now)
	}
	return true
}

func (w *watched) update(n *corev1.Node, now time.Time) {
	ready, why := readiness(n)
	s := w.nodes[n.Name]
	switch {
	case s == nil && ready && n.Status.NodeInfo.KubeletVersion != "":
		w.nodes[n.Name] = &nodeState{}
	case s == nil:
	case ready && !s.since.IsZero():
		w.over(n.Name, s, now, true)
		*s = nodeState{}
	case !ready && s.since.IsZero():
		*s = nodeState{since: now, why: why}
		if silent(n) {
			s.why += w.heard(n.Name)
		}
	}
}

func (w *watched) remove(name string, now time.Time) {
	if s := w.nodes[name]; s != nil && s.since.IsZero() {
		*s = nodeState{since: now, gone: true}
	}
}

// overdue gives the cluster up for a node that stays away.
func (w *watched) overdue(now time.Time) {
	for _, name := range slices.Sorted(maps.Keys(w.nodes)) {
		s := w.nodes[name]
		if gone := now.Sub(s.since); w.AllNodes && !s.since.IsZero() && !s.gone && gone >= w.LostAfter {
			w.Lost(fmt.Errorf("node %s of cluster %s has not been Ready since %s (%s): %s", name, w.Cluster, clock(s.since), status.Short(gone), s.why))
		}
	}
}

// end tells of what is not over.
func (w *watched) end(now time.Time) {
	for _, name := range slices.Sorted(maps.Keys(w.nodes)) {
		if s := w.nodes[name]; !s.since.IsZero() {
			w.over(name, s, now, false)
		}
	}
}

func (w *watched) over(name string, s *nodeState, now time.Time, over bool) {
	what := "node " + name + " was not Ready"
	if s.gone {
		what = "node " + name + " was not in the API"
	}
	w.lasted(what, s.why, s.since, now, over)
}

// readiness says whether a node is Ready, and if not why.
func readiness(n *corev1.Node) (ready bool, why string) {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue, strings.TrimSpace(c.Reason + " " + c.Message)
		}
	}
	return false, "no status"
}

// silent says whether a node is not Ready because nothing is heard of it, which is
// found out most of a minute after it died.
func silent(n *corev1.Node) bool {
	return slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionUnknown
	})
}

// lastHeard reads a node's lease, which its kubelet renews every ten seconds.
func lastHeard(ctx context.Context, client kubernetes.Interface, node string) string {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	lease, err := client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(ctx, node, metav1.GetOptions{})
	if err != nil || lease.Spec.RenewTime == nil {
		return ""
	}
	return " It was last heard of at " + clock(lease.Spec.RenewTime.Time) + "."
}
