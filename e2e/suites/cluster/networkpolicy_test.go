package cluster_test

import (
	"context"
	"net"
	"slices"
	"strconv"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

// policyReach bounds the time until a policy holds on all nodes.
const policyReach = 10 * time.Second

var _ = Describe("A NetworkPolicy", Ordered, harness.Short, func() {
	var (
		ns, agnhost, busybox string
		servers              []corev1.Pod
		friend, stranger     *corev1.Pod
	)

	// policy makes one for the pods with label app=APP.
	policy := func(ctx context.Context, name, app string, fill func(*networkingv1.NetworkPolicySpec)) {
		GinkgoHelper()
		p := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}}
		p.Spec.PodSelector = metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
		fill(&p.Spec)
		_, err := c.Client.NetworkingV1().NetworkPolicies(ns).Create(ctx, p, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
	}
	// connect is the exit code of a try to connect to a server's port: 0, or 1.
	connect := func(from *corev1.Pod, to corev1.Pod) func(context.Context) int {
		target := net.JoinHostPort(to.Status.PodIP, strconv.Itoa(harness.WebPort))
		return func(ctx context.Context) int {
			return c.PodExec(ctx, ns, from.Name, "/agnhost", "connect", "--timeout=1s", target).Code
		}
	}
	reaches := func(ctx context.Context, from *corev1.Pod, code int) {
		GinkgoHelper()
		for _, server := range servers {
			Eventually(ctx, connect(from, server)).WithTimeout(policyReach).Should(Equal(code),
				"%s to %s", from.Name, server.Spec.NodeName)
		}
	}
	tables := func(ctx context.Context) (with []string) {
		for _, n := range c.Nodes(ctx) {
			if c.Exec(ctx, n.Name, "nft", "list", "table", "inet", "kluster-policy").Code == 0 {
				with = append(with, n.Name)
			}
		}
		return with
	}

	BeforeAll(func(ctx SpecContext) {
		ns, agnhost, busybox = c.Namespace(ctx), c.Image(ctx, "agnhost"), c.Image(ctx, "busybox")
		idle := harness.Command(agnhost, "/agnhost", "pause")
		made := []*corev1.Pod{harness.Pod("friend", controlPlane(1), idle), harness.Pod("stranger", controlPlane(2), idle)}
		for _, p := range made {
			_, err := c.Client.CoreV1().Pods(ns).Create(ctx, p, metav1.CreateOptions{})
			Expect(err).NotTo(HaveOccurred())
		}
		c.Deploy(ctx, ns, harness.Deployment("web", nodes, harness.Web(agnhost)))
		servers = c.Pods(ctx, ns, "web")
		Expect(servers).To(HaveLen(nodes))
		for _, p := range made {
			Eventually(ctx, podReady(ns, p.Name)).WithTimeout(harness.PodTimeout).Should(BeTrue())
		}
		friend, stranger = made[0], made[1]
	})

	It("keeps those out that it does not allow, on every node, and no probe", func(ctx SpecContext) {
		reaches(ctx, stranger, 0)
		policy(ctx, "deny", "web", func(*networkingv1.NetworkPolicySpec) {})
		port := intstr.FromInt32(harness.WebPort)
		policy(ctx, "allow", "web", func(s *networkingv1.NetworkPolicySpec) {
			s.Ingress = []networkingv1.NetworkPolicyIngressRule{{
				From:  []networkingv1.NetworkPolicyPeer{{PodSelector: &friendly}},
				Ports: []networkingv1.NetworkPolicyPort{{Port: &port}},
			}}
		})
		reaches(ctx, stranger, 1)
		reaches(ctx, friend, 0)
		// Three failed probes, one a second, would make a pod unready.
		Consistently(ctx, func(ctx context.Context) bool {
			return !slices.ContainsFunc(c.Pods(ctx, ns, "web"), func(p corev1.Pod) bool { return !harness.PodReady(&p) })
		}).WithTimeout(5*time.Second).WithPolling(time.Second).Should(BeTrue(), "probes go on")
	})

	It("goes on while the pod network's service starts again", func(ctx SpecContext) {
		for _, n := range c.Nodes(ctx) {
			c.MustExec(ctx, n.Name, "systemctl", "restart", "kluster-network")
		}
		for _, server := range servers {
			Expect(connect(stranger, server)(ctx)).To(Equal(1))
		}
		reaches(ctx, friend, 0)
	})

	It("holds for a pod from its first moment on", func(ctx SpecContext) {
		policy(ctx, "mute", "born", func(s *networkingv1.NetworkPolicySpec) {
			s.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}
		})
		born := harness.Pod("born", controlPlane(3), harness.Command(busybox, "sh", "-c",
			"nc -w 1 "+servers[0].Status.PodIP+" "+strconv.Itoa(harness.WebPort)+" </dev/null 2>/dev/null && echo open || echo closed"))
		Expect(c.FinishPod(ctx, ns, born)).To(Equal("closed\n"))
	})

	It("leaves nothing behind", func(ctx SpecContext) {
		Expect(tables(ctx)).To(HaveLen(nodes))
		err := c.Client.NetworkingV1().NetworkPolicies(ns).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
		Expect(err).NotTo(HaveOccurred())
		reaches(ctx, stranger, 0)
		Eventually(ctx, tables).WithTimeout(policyReach).Should(BeEmpty())
	})
})

// friendly selects who may come in.
var friendly = metav1.LabelSelector{MatchLabels: map[string]string{"app": "friend"}}
