package inventory

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// clock is how times are written, in UTC as the nodes' journals.
const clock = "2006-01-02 15:04:05.000"

// ConditionTable is a block per node: its conditions, its taints, and what it has
// left for pods.
func ConditionTable(nodes []corev1.Node) []byte {
	var b strings.Builder
	for _, n := range nodes {
		fmt.Fprintf(&b, "%s (%s, %s)\n", n.Name, n.Status.NodeInfo.KubeletVersion, n.Status.NodeInfo.ContainerRuntimeVersion)
		w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		for _, c := range n.Status.Conditions {
			fmt.Fprintf(w, "  %s\t%s\tsince %s\t%s: %s\n", c.Type, c.Status, c.LastTransitionTime.UTC().Format(clock), c.Reason, c.Message)
		}
		_ = w.Flush() // to memory
		for _, t := range n.Spec.Taints {
			fmt.Fprintf(&b, "  taint %s\n", t.ToString())
		}
		if n.Spec.Unschedulable {
			b.WriteString("  cordoned\n")
		}
		fmt.Fprintf(&b, "  allocatable: cpu %s, memory %s, pods %s\n\n", n.Status.Allocatable.Cpu(), n.Status.Allocatable.Memory(), n.Status.Allocatable.Pods())
	}
	return []byte(b.String())
}

// EventTable is one line per event, in the order they happened.
func EventTable(events []corev1.Event) []byte {
	slices.SortStableFunc(events, func(a, b corev1.Event) int {
		return cmp.Or(EventTime(&a).Compare(EventTime(&b)), strings.Compare(a.Name, b.Name))
	})
	var b strings.Builder
	for _, e := range events {
		times := ""
		if n := max(e.Count, seriesCount(&e)); n > 1 {
			times = fmt.Sprintf(" (%d times)", n)
		}
		fmt.Fprintf(&b, "%s %-7s %s %s/%s%s: %s\n", EventTime(&e).UTC().Format(clock), e.Type, e.Reason,
			strings.ToLower(e.InvolvedObject.Kind), e.InvolvedObject.Name, times, strings.Join(strings.Fields(e.Message), " "))
	}
	return []byte(b.String())
}

// EventTime is when an event happened last.
func EventTime(e *corev1.Event) time.Time {
	switch {
	case e.Series != nil:
		return e.Series.LastObservedTime.Time
	case !e.LastTimestamp.IsZero():
		return e.LastTimestamp.Time
	case !e.EventTime.IsZero():
		return e.EventTime.Time
	}
	return e.CreationTimestamp.Time
}

func seriesCount(e *corev1.Event) int32 {
	if e.Series == nil {
		return 0
	}
	return e.Series.Count
}
