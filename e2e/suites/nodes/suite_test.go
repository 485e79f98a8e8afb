// Package nodes_test adds nodes to clusters that run and removes some, while a client
// writes.
package nodes_test

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
	"github.com/kluster-project/kluster/internal/nodespec"
)

func TestNodes(t *testing.T) { harness.RunSuite(t, "kluster: nodes that come and go") }

func init() { harness.GatherOnFailure() }

const (
	// gap bounds the time without an acknowledged write while control planes come and go.
	gap = 5 * time.Second
	// reach bounds the time until something holds on all nodes.
	reach = 2 * time.Minute
)

// createLimit bounds a create that builds its node image first, and limit any other spec.
var (
	createLimit = NodeTimeout(harness.CreateTimeout + 30*time.Minute)
	limit       = NodeTimeout(10 * time.Minute)
)

// made is a cluster under test.
type made struct {
	*harness.Cluster
	busybox string
}

// create makes a cluster that goes with its container of specs.
func create(ctx SpecContext, args ...string) *made {
	GinkgoHelper()
	k, name := harness.SuiteKluster(), harness.Name("nodes")
	DeferCleanup(k.Delete, name)
	m := &made{Cluster: k.Create(ctx, name, args...)}
	m.busybox = m.Image(ctx, "busybox")
	return m
}

// severalRuntimes is a node image that holds two: KLUSTER_TEST_NODES_IMAGE, or one that is
// built if there is none.
func severalRuntimes(ctx context.Context) string {
	GinkgoHelper()
	if ref := os.Getenv("KLUSTER_TEST_NODES_IMAGE"); ref != "" {
		return ref
	}
	var image struct{ Ref string }
	harness.New().Must(ctx, "build", "node-image", "--runtime", "containerd,cri-o", "-o", "json").Decode(&image)
	return image.Ref
}

// node runs "kluster node", which must succeed, and gives the names that it prints.
func (m *made) node(ctx context.Context, args ...string) []string {
	GinkgoHelper()
	r := m.Must(ctx, append([]string{"node", args[0], "--cluster", m.Name}, args[1:]...)...)
	AddReportEntry("kluster node "+strings.Join(args, " "), r.Took.Round(100*time.Millisecond).String())
	return r.Lines()
}

// usable sees that pods of a node reach cluster DNS through the pod network.
func (m *made) usable(ctx context.Context, nodes ...string) {
	GinkgoHelper()
	ns := m.Namespace(ctx)
	for _, n := range nodes {
		pod := "on-" + strings.TrimPrefix(n, m.Name+"-")
		m.RunPod(ctx, ns, harness.Pod(pod, n, harness.Idle(m.busybox)))
		Eventually(ctx, func(ctx context.Context) harness.Result {
			return m.PodExec(ctx, ns, pod, "nslookup", "kubernetes.default.svc.cluster.local")
		}).WithTimeout(reach).Should(HaveField("Code", 0), "DNS from a pod of %s", n)
	}
}

// voters waits until that many members of etcd vote and answer, as every control plane
// sees it.
func (m *made) voters(ctx context.Context, want int) {
	GinkgoHelper()
	for _, n := range m.controlPlanes(ctx) {
		Eventually(ctx, func(ctx context.Context) (int, error) { return m.EtcdVoters(ctx, n) }).
			WithTimeout(reach).Should(Equal(want), "voters seen from %s", n)
	}
}

func (m *made) controlPlanes(ctx context.Context) []string {
	GinkgoHelper()
	var names []string
	for _, n := range m.Nodes(ctx) {
		if _, ok := n.Labels["node-role.kubernetes.io/control-plane"]; ok {
			names = append(names, n.Name)
		}
	}
	return names
}

// runtimes are the nodes' container runtimes by name.
func (m *made) runtimes(ctx context.Context) map[string]string {
	GinkgoHelper()
	all := map[string]string{}
	for _, n := range m.Nodes(ctx) {
		all[n.Name], _, _ = strings.Cut(n.Status.NodeInfo.ContainerRuntimeVersion, ":")
	}
	return all
}

// told checks that every node and the load balancer know these control planes and no
// others.
func (m *made) told(ctx context.Context, e *harness.Engine) {
	GinkgoHelper()
	var want []string
	planes := m.controlPlanes(ctx)
	for _, n := range m.Nodes(ctx) {
		if slices.Contains(planes, n.Name) {
			want = append(want, net.JoinHostPort(harness.InternalIP(n), "6443"))
		}
	}
	for _, n := range m.Nodes(ctx) {
		var told nodespec.Node
		Expect(json.Unmarshal([]byte(m.MustExec(ctx, n.Name, "cat", nodespec.NodeFile)), &told)).To(Succeed())
		Expect(told.APIServers).To(ConsistOf(want), "what %s knows", n.Name)
	}
	r, err := e.Exec(ctx, m.Name+"-lb", "sh", "-c", `sed -n 's/^  server [^ ]* //p' /etc/haproxy/haproxy.cfg`)
	Expect(err).NotTo(HaveOccurred())
	Expect(strings.Fields(r.Stdout)).To(ConsistOf(want), "what the load balancer knows")
}

// things are all that a change which is taken back must leave as it was.
type things struct{ Containers, Volumes, Nodes, Members []string }

func (m *made) things(ctx context.Context, e *harness.Engine, via string) things {
	GinkgoHelper()
	var now things
	containers, err := e.Containers(ctx, m.Name)
	Expect(err).NotTo(HaveOccurred())
	for _, c := range containers {
		now.Containers = append(now.Containers, c.Name)
	}
	now.Volumes, err = e.Volumes(ctx, m.Name)
	Expect(err).NotTo(HaveOccurred())
	for _, n := range m.Nodes(ctx) {
		now.Nodes = append(now.Nodes, n.Name)
	}
	members, err := m.EtcdMembers(ctx, via)
	Expect(err).NotTo(HaveOccurred())
	for _, member := range members {
		now.Members = append(now.Members, member.Name)
	}
	for _, list := range [][]string{now.Containers, now.Volumes, now.Nodes, now.Members} {
		slices.Sort(list)
	}
	return now
}

// tokens are the cluster's bootstrap tokens.
func (m *made) tokens(ctx context.Context) []string {
	GinkgoHelper()
	list, err := m.Client.CoreV1().Secrets(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{
		FieldSelector: "type=" + string(corev1.SecretTypeBootstrapToken),
	})
	Expect(err).NotTo(HaveOccurred())
	var names []string
	for _, s := range list.Items {
		names = append(names, s.Name)
	}
	return names
}
