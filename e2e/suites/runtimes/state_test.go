package runtimes_test

import (
	"context"
	"fmt"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
	"github.com/kluster-project/kluster/internal/cri"
)

// has is what "kluster runtime list" says of a node.
type has struct {
	Node, Runtime, OCIRuntime string
	Runtimes, OCIRuntimes     []string
}

func (m *made) has(ctx context.Context) []has {
	GinkgoHelper()
	var all []has
	m.Must(ctx, "runtime", "list", "--cluster", m.Name, "-o", "json").Decode(&all)
	return all
}

// untouched is what a swap that is refused leaves alone: what each node has, whether it
// is cordoned, and the processes of its kubelet and of its container runtime.
func (m *made) untouched(ctx context.Context) []string {
	GinkgoHelper()
	var all []string
	for _, h := range m.has(ctx) {
		all = append(all, fmt.Sprintf("%s: %s with %s", h.Node, h.Runtime, h.OCIRuntime))
	}
	for _, n := range m.Nodes(ctx) {
		all = append(all, fmt.Sprintf("%s: cordoned %v, %s", n.Name, n.Spec.Unschedulable,
			m.Exec(ctx, n.Name, "systemctl", "show", "--property=MainPID", "kubelet", on(n).Unit()).Stdout))
	}
	return all
}

// refuses checks that kluster ends with a code and a reason, and has changed nothing.
func (m *made) refuses(ctx context.Context, code int, why string, args ...string) {
	GinkgoHelper()
	before := m.untouched(ctx)
	r := m.Run(ctx, args...)
	Expect(r.Code).To(Equal(code), r.String())
	Expect(r.Stderr).To(And(ContainSubstring(why), ContainSubstring("nothing was changed")))
	Expect(m.untouched(ctx)).To(Equal(before))
}

func refusesSwaps(ctx SpecContext, m *made) {
	nodes := m.has(ctx)
	first := nodes[0]
	for _, to := range cri.Names() {
		if slices.ContainsFunc(nodes, func(h has) bool { return slices.Contains(h.Runtimes, to) }) {
			continue
		}
		By("to " + to + ", which the image lacks")
		m.refuses(ctx, 2, "not the container runtime "+to, way{to: to}.swap(m.Name, "--all")...)
	}
	i := slices.IndexFunc(first.OCIRuntimes, func(name string) bool { return name != first.OCIRuntime })
	Expect(i).NotTo(BeNumerically("<", 0), "another OCI runtime than %s in %s", first.OCIRuntime, first.OCIRuntimes)
	swap := way{first.Runtime, first.OCIRuntimes[i]}.swap(m.Name, "--node", first.Node)
	if len(nodes) == 1 {
		By("of the only node")
		m.refuses(ctx, 2, "it is the only node of its cluster", swap...)
		return
	}
	By("with a pod that nothing brings back")
	alone := m.RunPod(ctx, m.ns, harness.Pod("alone", first.Node, harness.Idle(m.busybox)))
	m.refuses(ctx, 2, "pods without a controller would be lost: ", swap...)
	Expect(m.Client.CoreV1().Pods(m.ns).Get(ctx, alone.Name, metav1.GetOptions{})).To(HaveField("UID", alone.UID))
}

// stateFiles are what OCI runtimes keep of a container, in a folder of its ID.
var stateFiles = map[string]string{"runc": "state.json", "crun": "status"}

// runBy names the OCI runtimes that keep state of each container that runs in a node's
// pods ("NAMESPACE/POD/CONTAINER").
func (m *made) runBy(ctx context.Context, node string) (map[string][]string, error) {
	pods, err := m.Client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + node})
	if err != nil {
		return nil, err
	}
	// Files that come and go meanwhile are none of a container that runs.
	find := m.Exec(ctx, node, "find", "/run", "-ignore_readdir_race", "-type", "f", "(", "-name", "state.json", "-o", "-name", "status", ")")
	all := map[string][]string{}
	for _, p := range pods.Items {
		for _, c := range p.Status.ContainerStatuses {
			if c.State.Running == nil {
				continue
			}
			_, id, _ := strings.Cut(c.ContainerID, "://")
			name := p.Namespace + "/" + p.Name + "/" + c.Name
			all[name] = nil
			for oci, file := range stateFiles {
				if strings.Contains(find.Stdout, "/"+id+"/"+file+"\n") {
					all[name] = append(all[name], oci)
				}
			}
		}
	}
	return all, nil
}

// allRunBy waits until an OCI runtime runs every container of every pod.
func (m *made) allRunBy(ctx context.Context, oci string) {
	GinkgoHelper()
	for _, n := range m.Nodes(ctx) {
		Eventually(ctx, func(ctx context.Context) (map[string][]string, error) { return m.runBy(ctx, n.Name) }).
			WithTimeout(reach).Should(And(Not(BeEmpty()), HaveEach([]string{oci})), n.Name)
	}
}

// lasting is what a swap must not change.
type lasting struct {
	members      []harness.Member
	certificates map[string]string // a node's files, with their digests
}

func (m *made) lasting(ctx context.Context) lasting {
	GinkgoHelper()
	all := lasting{certificates: map[string]string{}}
	nodes := m.Nodes(ctx)
	Eventually(ctx, func(ctx context.Context) (int, error) { return m.EtcdVoters(ctx, nodes[0].Name) }).
		WithTimeout(reach).Should(Equal(len(nodes)))
	var err error
	all.members, err = m.EtcdMembers(ctx, nodes[0].Name)
	Expect(err).NotTo(HaveOccurred())
	slices.SortFunc(all.members, func(a, b harness.Member) int { return strings.Compare(a.Name, b.Name) })
	for _, n := range nodes {
		all.certificates[n.Name] = m.MustExec(ctx, n.Name, "sh", "-c",
			"find /etc/kubernetes -type f -name '*.crt' -o -type f -name '*.key' -o -type f -name '*.conf' -path '/etc/kubernetes/*.conf' -not -path '*/kubelet.conf.d/*' | sort | xargs sha256sum")
	}
	return all
}

// awaitEverywhere waits until a DaemonSet has a ready pod on every node.
func (m *made) awaitEverywhere(ctx context.Context, name string) {
	GinkgoHelper()
	Eventually(ctx, func(ctx context.Context) (string, error) {
		d, err := m.Client.AppsV1().DaemonSets(m.ns).Get(ctx, name, metav1.GetOptions{})
		if err != nil || d.Status.NumberReady == d.Status.DesiredNumberScheduled && d.Status.NumberReady > 0 {
			return "", err
		}
		return fmt.Sprintf("%d of %d ready", d.Status.NumberReady, d.Status.DesiredNumberScheduled), nil
	}).WithTimeout(harness.PodTimeout).Should(BeEmpty())
}
