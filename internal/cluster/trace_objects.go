package cluster

import (
	"context"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"

	"github.com/kluster-project/kluster/internal/trace"
)

func watchNodes(ctx context.Context, c kubernetes.Interface) (watch.Interface, error) {
	return c.CoreV1().Nodes().Watch(ctx, metav1.ListOptions{})
}

func watchPods(ctx context.Context, c kubernetes.Interface) (watch.Interface, error) {
	return c.CoreV1().Pods(metav1.NamespaceAll).Watch(ctx, metav1.ListOptions{})
}

func watchAccounts(ctx context.Context, c kubernetes.Interface) (watch.Interface, error) {
	return c.CoreV1().ServiceAccounts(metav1.NamespaceSystem).Watch(ctx, metav1.ListOptions{})
}

// milestones are lanes of objects that each show what an object is at, and mark
// what it comes to for the first time.
type milestones struct {
	lanes map[string]*trace.Lane
	seen  map[string]bool
}

// lane is the object's own, made by create at first.
func (m *milestones) lane(object string, create func() *trace.Lane) *trace.Lane {
	if m.lanes == nil {
		m.lanes, m.seen = map[string]*trace.Lane{}, map[string]bool{}
	}
	l, ok := m.lanes[object]
	if !ok {
		l = create()
		m.lanes[object] = l
	}
	return l
}

// first is true once per object and milestone.
func (m *milestones) first(object, milestone string) bool {
	key := object + "\x00" + milestone
	was := m.seen[key]
	m.seen[key] = true
	return !was
}

// nodeLanes show the Node objects on their nodes' tracks.
type nodeLanes struct {
	r *trace.Recorder
	milestones
}

func (l *nodeLanes) see(e watch.Event, at time.Time) {
	n, ok := e.Object.(*corev1.Node)
	if !ok {
		return
	}
	lane := l.lane(n.Name, func() *trace.Lane { return l.r.NewLane(trace.State, n.Name, "API: node") })
	if e.Type == watch.Deleted {
		lane.End(at)
		return
	}
	if l.first(n.Name, "registered") {
		lane.Reach("node is registered", at)
	}
	if n.Spec.PodCIDR != "" && l.first(n.Name, "range") {
		lane.Reach("node has a pod range", at)
	}
	if notReady(n) == "" && l.first(n.Name, "ready") {
		lane.Reach("node is Ready", at)
	}
	lane.Set(nodeText(n), at)
}

func nodeText(n *corev1.Node) string {
	text := "Ready"
	if why := notReady(n); why != "" {
		text = "not Ready: " + why
	}
	var taints []string
	for _, t := range n.Spec.Taints {
		taints = append(taints, t.Key)
	}
	if len(taints) > 0 {
		text += " (taints: " + strings.Join(slices.Compact(taints), ", ") + ")"
	}
	return text
}

// podLanes show the Pod objects on a track of their own.
type podLanes struct {
	r *trace.Recorder
	milestones
}

// podConditions are what a pod comes to, in order.
var podConditions = []struct {
	condition corev1.PodConditionType
	name      string
}{
	{corev1.PodScheduled, "scheduled"},
	{corev1.PodReadyToStartContainers, "has a sandbox"},
	{corev1.PodInitialized, "initialized"},
	{corev1.ContainersReady, "containers ready"},
	{corev1.PodReady, "Ready"},
}

func (l *podLanes) see(e watch.Event, at time.Time) {
	p, ok := e.Object.(*corev1.Pod)
	if !ok {
		return
	}
	name := p.Namespace + "/" + p.Name
	lane := l.lane(name, func() *trace.Lane { return l.r.NewLane(trace.State, trace.Cluster, "pod "+name) })
	reach := lane.Reach
	if _, mirror := p.Annotations[corev1.MirrorPodAnnotationKey]; mirror {
		reach = lane.Note // it runs, whatever its object says
	}
	if e.Type == watch.Deleted {
		lane.End(at)
		return
	}
	if l.first(name, "exists") {
		reach(p.Name+" exists", at)
	}
	for _, c := range podConditions {
		if hasCondition(p, c.condition) && l.first(name, c.name) {
			reach(p.Name+": "+c.name, at)
		}
	}
	if phase := string(p.Status.Phase); l.first(name, phase) {
		reach(p.Name+": "+strings.ToLower(phase), at)
	}
	lane.Set(podText(p), at)
}

func hasCondition(p *corev1.Pod, want corev1.PodConditionType) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == want && c.Status == corev1.ConditionTrue
	})
}

// podText is what a pod is at, and what it waits for.
func podText(p *corev1.Pod) string {
	text := podState(p)
	if p.Status.Phase == corev1.PodRunning && !hasCondition(p, corev1.PodReady) {
		text += ", not ready"
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			text += ", not scheduled: " + c.Message
		}
	}
	return text
}

// accountLanes show when service accounts appear: without them no pod can be made.
type accountLanes struct {
	r *trace.Recorder
	milestones
}

func (l *accountLanes) see(e watch.Event, at time.Time) {
	a, ok := e.Object.(*corev1.ServiceAccount)
	if !ok {
		return
	}
	lane := l.lane("", func() *trace.Lane { return l.r.NewLane(trace.State, trace.Cluster, "service accounts") })
	if !l.first(a.Name, "exists") {
		return
	}
	if a.Name == "default" {
		lane.Reach("service account "+a.Name+" exists", at)
		return
	}
	lane.Note("service account "+a.Name+" exists", at)
}
