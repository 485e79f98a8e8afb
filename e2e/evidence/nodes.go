package evidence

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// journal takes what a node's units said since the spec started.
func (s *scene) journal(ctx context.Context, node string) error {
	text := &end{most: mostOfFile}
	err := s.Exec(ctx, node, s.journalctl(), text)
	if err == nil && len(text.kept) == 0 {
		text.kept = []byte("(nothing was said)\n")
	}
	s.files.put("nodes/"+node+".log", text.kept, mostOfFile, tail)
	return err
}

func (s *scene) journalctl() []string {
	argv := []string{
		"journalctl", "--no-pager", "--quiet", "--utc", "--output=short-precise",
		fmt.Sprintf("--since=@%d", s.since().Unix()), fmt.Sprintf("--until=@%d", s.now.Unix()+1),
	}
	for _, unit := range s.Units {
		argv = append(argv, "--unit="+unit)
	}
	return argv
}

func (s *scene) conditions(ctx context.Context) error {
	list, err := s.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	s.files.put("nodes/conditions.txt", conditionTable(list.Items), mostOfFile, head)
	return nil
}

// conditionTable is a block per node: its conditions, its taints, and what it has
// left for pods.
func conditionTable(nodes []corev1.Node) []byte {
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
