package runtimes_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
	"github.com/kluster-project/kluster/internal/cri"
)

const (
	// swapGap bounds the time without an acknowledged write while nodes are swapped.
	swapGap = 5 * time.Second
	// swapLimit bounds the swap of all nodes.
	swapLimit = NodeTimeout(15 * time.Minute)
)

// swapImage is the node image of swaps: KLUSTER_TEST_SWAP_IMAGE, or one with all
// container runtimes, which is built if there is none.
func swapImage(ctx context.Context) string {
	GinkgoHelper()
	if ref := os.Getenv("KLUSTER_TEST_SWAP_IMAGE"); ref != "" {
		return ref
	}
	var image struct{ Ref string }
	harness.New().Must(ctx, "build", "node-image", "--runtime", strings.Join(cri.Names(), ","), "-o", "json").Decode(&image)
	return image.Ref
}

var _ = Describe("Three control planes whose runtimes are swapped", Ordered, harness.Long, func() {
	m := &made{}
	var w *counter
	var before lasting
	BeforeAll(func(ctx SpecContext) {
		*m = *create(ctx, "", "--nodes", "3", "--runtime", "containerd", "--image", swapImage(ctx))
		web := harness.Deployment("web", 3, harness.Web(m.agnhost))
		// It can run on fewer nodes, and stays away from those that are cordoned.
		web.Spec.Template.Spec.TopologySpreadConstraints, web.Spec.Template.Spec.Tolerations = nil, nil
		m.Deploy(ctx, m.ns, web)
		m.DeployEverywhere(ctx, m.ns, harness.DaemonSet("everywhere", harness.Idle(m.busybox)))
		one := intstr.FromInt32(1)
		_, err := m.Client.PolicyV1().PodDisruptionBudgets(m.ns).Create(ctx, &policyv1.PodDisruptionBudget{
			ObjectMeta: metav1.ObjectMeta{Name: "web"},
			Spec:       policyv1.PodDisruptionBudgetSpec{MaxUnavailable: &one, Selector: web.Spec.Selector},
		}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		before = m.lasting(ctx)
		w = m.startCounter(ctx)
	}, createLimit)

	for _, to := range []string{"cri-dockerd", "cri-o", "containerd"} {
		It("keep serving, and lose nothing, on the way to "+to, func(ctx SpecContext) {
			w.mark()
			r := m.Must(ctx, "runtime", "swap", "--cluster", m.Name, "--all", "--to", to)
			Expect(r.Lines()).To(HaveLen(3))
			AddReportEntry("swap of three nodes to "+to, r.Took.Round(100*time.Millisecond).String())
			m.reports(ctx, []string{to, to, to})
			m.AwaitDeployment(ctx, m.ns, "web")
			m.awaitEverywhere(ctx, "everywhere")
			Expect(m.lasting(ctx)).To(Equal(before))
			w.verify(ctx, to)
		}, swapLimit)
	}

	It("start with what they were swapped to", func(ctx SpecContext) {
		e, node := harness.SpecEngine(ctx), m.Nodes(ctx)[2].Name
		m.Must(ctx, "runtime", "swap", "--cluster", m.Name, "--node", node, "--to", "cri-o", "--oci-runtime", "crun")
		Expect(e.Restart(ctx, node)).To(Succeed())
		m.AwaitNodes(ctx, e, 3*time.Minute)
		Expect(on(m.Nodes(ctx)[2]).Name).To(Equal("cri-o"))
		m.AwaitDeployment(ctx, m.ns, "web")
	}, swapLimit)

	for _, step := range []string{"drain", "configuration", "readiness"} {
		It("get back what they had when a swap is interrupted: "+step, func(ctx SpecContext) {
			n := m.Nodes(ctx)[0]
			k := *m.Kluster
			k.Env = []string{"KLUSTER_TEST_INTERRUPT_AT=" + step}
			r := k.Run(ctx, "runtime", "swap", "--cluster", m.Name, "--node", n.Name, "--to", "cri-dockerd")
			Expect(r.Code).To(Equal(130), r.String())
			Expect(r.Stderr).To(ContainSubstring("as before"))
			now := m.Nodes(ctx)[0]
			Expect(on(now).Name).To(Equal(on(n).Name))
			Expect(now.Spec.Unschedulable).To(BeFalse())
			Expect(m.NotReady(ctx)).To(BeEmpty())
			m.AwaitDeployment(ctx, m.ns, "web")
			Expect(m.lasting(ctx)).To(Equal(before))
		}, swapLimit)
	}

	It("are left alone when a budget forbids the drain", func(ctx SpecContext) {
		none := intstr.FromInt32(0)
		budget, err := m.Client.PolicyV1().PodDisruptionBudgets(m.ns).Get(ctx, "web", metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		budget.Spec.MaxUnavailable = &none
		_, err = m.Client.PolicyV1().PodDisruptionBudgets(m.ns).Update(ctx, budget, metav1.UpdateOptions{})
		Expect(err).NotTo(HaveOccurred())
		Eventually(ctx, func(ctx context.Context) (int32, error) {
			b, err := m.Client.PolicyV1().PodDisruptionBudgets(m.ns).Get(ctx, "web", metav1.GetOptions{})
			return b.Status.DesiredHealthy, err
		}).WithTimeout(reach).Should(Equal(int32(3)))
		r := m.Run(ctx, "runtime", "swap", "--cluster", m.Name, "--all", "--to", "cri-dockerd")
		Expect(r.Code).To(Equal(4), r.String())
		Expect(r.Stderr).To(And(ContainSubstring("PodDisruptionBudget "+m.ns+"/web"), ContainSubstring("nothing was changed")))
		for _, n := range m.Nodes(ctx) {
			Expect(n.Spec.Unschedulable).To(BeFalse(), n.Name)
		}
	}, swapLimit)
})

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
