package harness

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/onsi/ginkgo/v2"

	"github.com/kluster-project/kluster/internal/nodespec"
)

// evidence is what is asked of each running node after a failure: file name to
// command. All of it is free of keys.
var evidence = map[string][]string{
	"journal.log":    {"journalctl", "--no-pager", "--boot", "--lines=5000"},
	"containers.txt": {"crictl", "ps", "--all"},
	"processes.txt":  {"ps", "auxww"},
	"network.txt":    {"sh", "-c", "ip address; ip route; nft list ruleset 2>/dev/null || iptables-save"},
}

// clusterEvidence is asked of one control plane.
var clusterEvidence = map[string][]string{
	"pods.txt":     kubectl("get", "nodes,pods,services,persistentvolumeclaims", "--all-namespaces", "--output=wide"),
	"events.txt":   kubectl("get", "events", "--all-namespaces", "--sort-by=.lastTimestamp"),
	"describe.txt": kubectl("describe", "nodes,pods", "--all-namespaces"),
}

func kubectl(args ...string) []string {
	return append([]string{"kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "--request-timeout=15s"}, args...)
}

// GatherOnFailure makes every failed spec of the suite leave evidence about all
// clusters of the suite, and prints where it is. Call it once per suite; Shared
// does.
func GatherOnFailure() {
	ginkgo.JustAfterEach(func(ctx ginkgo.SpecContext) {
		if !ginkgo.CurrentSpecReport().Failed() {
			return
		}
		dir, err := Gather(ctx, ginkgo.CurrentSpecReport().LeafNodeText)
		if err != nil {
			fmt.Fprintf(ginkgo.GinkgoWriter, "gathering evidence: %v\n", err)
		}
		fmt.Fprintf(os.Stderr, "\nevidence: %s\n", dir)
	}, ginkgo.NodeTimeout(3*time.Minute))
}

var unsafeChars = regexp.MustCompile(`[^a-zA-Z0-9]+`)

// EvidenceDir makes a new folder for evidence.
func EvidenceDir(title string) (string, error) {
	base := os.Getenv("KLUSTER_EVIDENCE")
	if base == "" {
		base = filepath.Join(os.TempDir(), "kluster-evidence")
	}
	if err := os.MkdirAll(base, 0o755); err != nil {
		return "", err
	}
	return os.MkdirTemp(base, unsafeChars.ReplaceAllString(title, "-")+"-")
}

// Gather writes what can be learnt about the clusters of this process into a
// new folder and returns it. What cannot be had is noted there.
func Gather(ctx context.Context, title string) (string, error) {
	dir, err := EvidenceDir(title)
	if err != nil {
		return "", err
	}
	engine, err := NewEngine(ctx)
	if err != nil {
		return dir, err
	}
	for _, name := range known() {
		if err := engine.gatherCluster(ctx, name, dir); err != nil {
			return dir, err
		}
	}
	return dir, nil
}

func (e *Engine) gatherCluster(ctx context.Context, cluster, dir string) error {
	list, err := e.Containers(ctx, cluster)
	if err != nil {
		return err
	}
	asked := false
	for _, c := range list {
		sub := filepath.Join(dir, c.Name)
		if err := os.MkdirAll(sub, 0o755); err != nil {
			return err
		}
		about := fmt.Sprintf("running %t, started %s, address %s, ports %v, labels %v\n", c.Running, c.Started, c.Address, c.Ports, c.Labels)
		if err := os.WriteFile(filepath.Join(sub, "container.txt"), []byte(about), 0o644); err != nil {
			return err
		}
		if !c.Running {
			continue
		}
		e.ask(ctx, c.Name, sub, evidence)
		if c.Role == nodespec.RoleControlPlane && !asked {
			e.ask(ctx, c.Name, dir, clusterEvidence)
			asked = true
		}
	}
	return nil
}

// ask runs commands in a container and keeps what they say, or why they could
// not be run.
func (e *Engine) ask(ctx context.Context, container, dir string, commands map[string][]string) {
	for file, cmd := range commands {
		r, err := e.Exec(ctx, container, cmd...)
		text := r.Stdout
		if err != nil || r.Code != 0 {
			text = fmt.Sprintf("%s\n%v", r, err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			fmt.Fprintf(ginkgo.GinkgoWriter, "keeping %s of %s: %v\n", file, container, err)
		}
	}
}
