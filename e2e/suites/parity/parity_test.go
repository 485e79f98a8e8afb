package parity_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
	"github.com/kluster-project/kluster/internal/nodespec"
)

var _ = Describe("A cluster of kluster", Ordered, ContinueOnFailure, harness.Long, func() {
	It("is what kubeadm init and join would have left", func(ctx SpecContext) {
		e, p := engine(ctx), machines(ctx)
		want := reference(ctx, e, p)
		got := underTest(ctx, e)
		Expect(len(got.nodes)).To(Equal(4))
		kubeadms, klusters := want.take(ctx, e), got.take(ctx, e)
		Expect(len(kubeadms)).To(BeNumerically(">", 150), "a snapshot that misses most of a cluster proves nothing")
		diff, used := differences(kubeadms, klusters)
		for _, a := range allowed {
			if !used[a.reason] {
				GinkgoWriter.Printf("not needed here: the allowance that %s\n", a.reason)
			}
		}
		if len(diff) > 0 {
			Fail(fmt.Sprintf("%d differences:\n%s", len(diff), strings.Join(diff, "\n\n")))
		}
	})

	It("has its certificates renewed by kubeadm, and goes on", func(ctx SpecContext) {
		for _, n := range underTest(ctx, engine(ctx)).nodes {
			if n.Role == nodespec.RoleControlPlane {
				c.MustExec(ctx, n.Name, "kubeadm", "certs", "renew", "all")
				for _, line := range strings.Split(c.MustExec(ctx, n.Name, "kubeadm", "certs", "check-expiration"), "\n") {
					// Only the first control plane of a cluster has super-admin.conf.
					Expect(line).NotTo(And(ContainSubstring("MISSING"), Not(ContainSubstring("super-admin.conf"))))
				}
				c.MustExec(ctx, n.Name, "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "get", "--raw=/readyz")
			}
		}
	})

	It("has an upgrade planned by kubeadm", func(ctx SpecContext) {
		version := c.Nodes(ctx)[0].Status.NodeInfo.KubeletVersion
		Expect(c.MustExec(ctx, c.Name+"-control-plane-1", "kubeadm", "upgrade", "plan", version, ignored)).To(ContainSubstring(version))
	})

	It("takes in a worker by kubeadm join", func(ctx SpecContext) {
		added := joinOne(ctx, nodespec.RoleWorker, "worker-9", 100)
		expectUsable(ctx, added)
	})

	It("takes in a control plane by kubeadm join, and lets it go by kubeadm reset", func(ctx SpecContext) {
		added := joinOne(ctx, nodespec.RoleControlPlane, "control-plane-9", 101)
		first := c.Name + "-control-plane-1"
		Eventually(ctx, func(ctx context.Context) (int, error) { return c.EtcdVoters(ctx, first) }).
			WithTimeout(2 * time.Minute).Should(Equal(4))
		expectUsable(ctx, added)

		sh(ctx, engine(ctx), added, "kubeadm reset --force "+ignored)
		Eventually(ctx, func(ctx context.Context) (int, error) { return c.EtcdVoters(ctx, first) }).
			WithTimeout(2 * time.Minute).Should(Equal(3))
		members, err := c.EtcdMembers(ctx, first)
		Expect(err).NotTo(HaveOccurred())
		Expect(members).To(HaveLen(3))
	})
})

// joinOne joins a bare node to kluster's cluster, waits until it is Ready, and
// returns its name.
func joinOne(ctx SpecContext, role nodespec.Role, suffix string, host byte) string {
	GinkgoHelper()
	e, p, u := engine(ctx), machines(ctx), underTest(ctx, engine(ctx))
	at := u.nodes[0].Addr.As4()
	at[3] = host
	n := bareNode{
		Name: c.Name + "-" + suffix, Role: role, Addr: netip.AddrFrom4(at),
		Cluster: c.Name, Network: c.Name, APIServers: u.apiServers(),
	}
	if role == nodespec.RoleControlPlane {
		n.APIServers = append(n.APIServers, netip.AddrPortFrom(n.Addr, nodespec.APIServerPort).String())
	}
	n.boot(ctx, e, p, u.nodes[0].Name)
	DeferCleanup(func(ctx context.Context) {
		Expect(c.Client.CoreV1().Nodes().Delete(ctx, n.Name, metav1.DeleteOptions{})).To(Succeed())
		Expect(e.Remove(ctx, n.Name)).To(Succeed())
	})
	join(ctx, e, p, u.nodes[0].Name, n)
	Eventually(ctx, func(ctx context.Context) (corev1.ConditionStatus, error) {
		node, err := c.Client.CoreV1().Nodes().Get(ctx, n.Name, metav1.GetOptions{})
		return harness.NodeReady(*node).Status, err
	}).WithTimeout(2*time.Minute).Should(Equal(corev1.ConditionTrue), "%s Ready", n.Name)
	return n.Name
}

// expectUsable runs a pod on the node and has it talk to the cluster's API and
// DNS through the pod network.
func expectUsable(ctx SpecContext, node string) {
	GinkgoHelper()
	ns := c.Namespace(ctx)
	c.RunPod(ctx, ns, harness.Pod("probe", node, harness.Idle(c.Image(ctx, "busybox"))))
	Eventually(ctx, func(ctx context.Context) harness.Result {
		return c.PodExec(ctx, ns, "probe", "nslookup", "kubernetes.default.svc.cluster.local")
	}).WithTimeout(time.Minute).Should(HaveField("Code", 0), "DNS from a pod of %s", node)
}
