package cli

import (
	"fmt"
	"os/exec"
	"strings"

	"github.com/kluster-project/kluster/internal/cluster"
	"github.com/kluster-project/kluster/internal/nodespec"
)

// countNodes leaves out the load balancer, which is a machine of the cluster
// but no node of Kubernetes.
func countNodes(machines []cluster.NodeInfo) int {
	n := 0
	for _, m := range machines {
		if m.Role != string(nodespec.RoleLoadBalancer) {
			n++
		}
	}
	return n
}

func nodesInWords(n int) string {
	if n == 1 {
		return "1 node"
	}
	return fmt.Sprintf("%d nodes", n)
}

// advice is a command that shows the nodes of a new cluster and works on this
// host: with its kubectl if it has one. kubeconfig is the file that was asked
// for, "" for the one that kubectl reads anyway.
func advice(s *cluster.Summary, kubeconfig string) string {
	if _, err := exec.LookPath("kubectl"); err != nil {
		return fmt.Sprintf("kluster kubectl --cluster %s -- get nodes", s.Name)
	}
	if kubeconfig == "" {
		return fmt.Sprintf("kubectl --context %s get nodes", s.Context)
	}
	return fmt.Sprintf("kubectl --kubeconfig %s --context %s get nodes", shellWord(kubeconfig), s.Context)
}

// shellWord is text as one word of a shell's command line.
func shellWord(text string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:@%,", r)
	}
	if text != "" && strings.TrimFunc(text, plain) == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
