package cluster_test

import (
	"context"
	"net"
	"net/netip"
	"os/exec"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

var _ = Describe("A Service of type LoadBalancer", Ordered, ContinueOnFailure, harness.Short, func() {
	var ns string
	var first *corev1.Service

	balanced := func(name string) *corev1.Service {
		return harness.Service(name, "web", corev1.ServiceTypeLoadBalancer)
	}

	BeforeAll(func(ctx SpecContext) {
		ns = c.Namespace(ctx)
		c.Deploy(ctx, ns, harness.Deployment("web", nodes, harness.Web(c.Image(ctx, "agnhost"))))
		first = c.Expose(ctx, ns, balanced("first"))
	})

	It("is reached from the host by curl", func(ctx SpecContext) {
		url := "http://" + harness.BalancerIP(first) + "/hostname"
		harness.Answers(ctx, url, HavePrefix("web-"))
		out, err := exec.CommandContext(ctx, "curl", "--noproxy", "*", "-fsS", "--max-time", "5", url).CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), string(out))
		Expect(string(out)).To(HavePrefix("web-"))
	})

	It("is reached from nodes and pods", func(ctx SpecContext) {
		url := "http://" + harness.BalancerIP(first) + "/hostname"
		for _, p := range c.Pods(ctx, ns, "web") {
			Eventually(ctx, func(ctx context.Context) harness.Result {
				return c.Exec(ctx, p.Spec.NodeName, curl(url)...)
			}).WithTimeout(reach).Should(HaveField("Stdout", HavePrefix("web-")), "from %s", p.Spec.NodeName)
			Eventually(ctx, func(ctx context.Context) harness.Result {
				return c.PodExec(ctx, ns, p.Name, "/agnhost", "connect", "--timeout=5s", harness.BalancerIP(first)+":80")
			}).WithTimeout(reach).Should(HaveField("Code", 0), "from %s", p.Name)
		}
	})

	It("has an address that no node has and the engine gives to none", func(ctx SpecContext) {
		e := engine(ctx)
		list, err := e.Containers(ctx, c.Name)
		Expect(err).NotTo(HaveOccurred())
		addr := netip.MustParseAddr(harness.BalancerIP(first))
		for _, found := range list {
			Expect(found.Address).NotTo(Equal(addr.String()))
			own := netip.MustParseAddr(found.Address)
			Expect(netip.PrefixFrom(own, 24).Masked().Contains(addr)).To(BeTrue(), "%s is of another network than %s", addr, found.Name)
		}
	})

	It("with externalTrafficPolicy Local sees the address of the host", func(ctx SpecContext) {
		s := balanced("local")
		s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
		s = c.Expose(ctx, ns, s)
		host := hostAddr(ctx, harness.BalancerIP(s))
		harness.Answers(ctx, "http://"+harness.BalancerIP(s)+"/clientip", HavePrefix(host+":"))
	})

	It("has an address of its own, which is free when it is deleted", func(ctx SpecContext) {
		second := c.Expose(ctx, ns, balanced("second"))
		addr := harness.BalancerIP(second)
		Expect(addr).NotTo(Equal(harness.BalancerIP(first)))
		harness.Answers(ctx, "http://"+addr+"/hostname", HavePrefix("web-"))

		services := c.Client.CoreV1().Services(ns)
		Expect(services.Delete(ctx, second.Name, metav1.DeleteOptions{})).To(Succeed())
		Eventually(ctx, func(ctx context.Context) bool {
			_, err := services.Get(ctx, second.Name, metav1.GetOptions{})
			return apierrors.IsNotFound(err)
		}).WithTimeout(reach).Should(BeTrue())
		Eventually(ctx, func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
			defer cancel()
			_, err := harness.Get(ctx, "http://"+addr+"/hostname")
			return err
		}).WithTimeout(reach).Should(HaveOccurred(), "nobody answers at %s any more", addr)

		third := balanced("third")
		third.Annotations = map[string]string{"metallb.io/loadBalancerIPs": addr}
		Expect(harness.BalancerIP(c.Expose(ctx, ns, third))).To(Equal(addr))
	})
})

// hostAddr is the host's own address on the way to another one.
func hostAddr(ctx context.Context, to string) string {
	GinkgoHelper()
	conn, err := new(net.Dialer).DialContext(ctx, "udp", net.JoinHostPort(to, "9")) // sends nothing
	Expect(err).NotTo(HaveOccurred())
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).IP.String()
}
