package runtimes_test

import (
	"context"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
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

// ways are the swaps of a chain, each from what the one before left: first the container
// runtime changes, then the OCI runtime alone.
var ways = []way{{"cri-dockerd", ""}, {"cri-o", ""}, {"containerd", ""}, {"containerd", "crun"}, {"containerd", "runc"}}

// way is a container runtime, with an OCI runtime unless nodes keep their own.
type way struct{ to, oci string }

func (w way) String() string {
	if w.oci == "" {
		return w.to
	}
	return w.to + " with " + w.oci
}

// swap is the command that swaps nodes ("--all") to it.
func (w way) swap(cluster string, nodes ...string) []string {
	args := append([]string{"runtime", "swap", "--cluster", cluster, "--to", w.to}, nodes...)
	if w.oci == "" {
		return args
	}
	return append(args, "--oci-runtime", w.oci)
}

var _ = Describe("Three control planes whose runtimes are swapped", Ordered, harness.Long, func() {
	m := &made{}
	var w *harness.Counter
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
		w = m.StartCounter(ctx)
	}, createLimit)

	for _, way := range ways {
		It("keep serving, and lose nothing, on the way to "+way.String(), func(ctx SpecContext) {
			w.Mark()
			r := m.Must(ctx, way.swap(m.Name, "--all")...)
			Expect(r.Lines()).To(HaveLen(3))
			AddReportEntry("swap of three nodes to "+way.String(), r.Took.Round(100*time.Millisecond).String())
			m.reports(ctx, []string{way.to, way.to, way.to})
			m.AwaitDeployment(ctx, m.ns, "web")
			m.awaitEverywhere(ctx, "everywhere")
			Expect(m.lasting(ctx)).To(Equal(before))
			if way.oci != "" {
				m.allRunBy(ctx, way.oci)
			}
			writes := w.Verify(ctx, "on the way to "+way.String())
			Expect(writes.Acknowledged).To(BeNumerically(">", 20))
			Expect(writes.Gap).To(BeNumerically("<", swapGap))
		}, swapLimit)
	}

	It("start with what they were swapped to", func(ctx SpecContext) {
		e, node := harness.SpecEngine(ctx), m.Nodes(ctx)[2].Name
		m.Must(ctx, way{"cri-o", "crun"}.swap(m.Name, "--node", node)...)
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
			r := k.Run(ctx, way{to: "cri-dockerd"}.swap(m.Name, "--node", n.Name)...)
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

	It("are left alone while one of them is down", func(ctx SpecContext) {
		e, down := harness.SpecEngine(ctx), m.Nodes(ctx)[2].Name
		Expect(e.Kill(ctx, down)).To(Succeed())
		w.Mark()
		w.AwaitMore(ctx, 10, time.Minute) // the load balancer knows of it
		m.refuses(ctx, 4, "node "+down+": it is stopped", way{to: "cri-dockerd"}.swap(m.Name, "--node", down)...)
		m.refuses(ctx, 4, "control plane "+down+" is stopped", way{to: "cri-dockerd"}.swap(m.Name, "--all")...)
		Expect(e.Start(ctx, down)).To(Succeed())
		m.AwaitNodes(ctx, e, 3*time.Minute)
		m.AwaitDeployment(ctx, m.ns, "web")
		Expect(m.lasting(ctx)).To(Equal(before))
		w.Verify(ctx, "with one of three down")
	}, swapLimit)

	It("are swapped by one kluster at a time, and by the next when that was killed", func(ctx SpecContext) {
		e, n, lock := harness.SpecEngine(ctx), m.Nodes(ctx)[0], m.Name+"-lock"
		before := m.untouched(ctx)
		first, err := m.Start(ctx, nil, way{to: "cri-dockerd"}.swap(m.Name, "--node", n.Name)...)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { _ = first.Signal(syscall.SIGKILL) })
		Eventually(ctx, func(ctx context.Context) error {
			_, err := e.Inspect(ctx, lock)
			return err
		}).WithTimeout(reach).WithPolling(20 * time.Millisecond).Should(Succeed())
		// Stopped before it comes to stop anything itself.
		Expect(first.Signal(syscall.SIGSTOP)).To(Succeed())
		m.refuses(ctx, 4, "are being swapped by process", way{to: "cri-dockerd"}.swap(m.Name, "--all")...)
		m.refuses(ctx, 4, "are being swapped by process", "delete", m.Name)

		Expect(first.Signal(syscall.SIGKILL)).To(Succeed())
		first.Wait()
		next := m.Must(ctx, way{to: on(n).Name}.swap(m.Name, "--node", n.Name)...)
		Expect(next.Stderr).To(And(ContainSubstring("was cut short"), ContainSubstring("0 nodes swapped")))
		_, err = e.Inspect(ctx, lock)
		Expect(err).To(Satisfy(errdefs.IsNotFound))
		Expect(m.kubectl(ctx, "", "uncordon", n.Name).Code).To(Equal(0)) // the first may have come to its cordon
		Expect(m.untouched(ctx)).To(Equal(before))
		m.AwaitDeployment(ctx, m.ns, "web")
	}, swapLimit)

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
		m.refuses(ctx, 4, "PodDisruptionBudget "+m.ns+"/web", way{to: "cri-dockerd"}.swap(m.Name, "--all")...)
	}, swapLimit)
})
