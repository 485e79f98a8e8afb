package services_test

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

// addresses is how many a /24 has for Services of type LoadBalancer.
const addresses = 64

var _ = Describe("Services of type LoadBalancer", Ordered, harness.Long, func() {
	var ns string
	var first *corev1.Service

	BeforeAll(func(ctx SpecContext) {
		ns = c.Namespace(ctx)
		c.Deploy(ctx, ns, harness.Deployment("web", 1, harness.Web(c.Image(ctx, "agnhost"))))
		made := time.Now()
		first = c.Expose(ctx, ns, harness.Service("web", "web", corev1.ServiceTypeLoadBalancer))
		harness.Answers(ctx, "http://"+harness.BalancerIP(first)+"/hostname", HavePrefix("web-"))
		AddReportEntry("from the first Service to its first answer", time.Since(made).Round(100*time.Millisecond).String())
	})

	It("are reached by a port of the host", func(ctx SpecContext) {
		harness.Answers(ctx, "http://"+hostPort(ctx)+"/hostname", HavePrefix("web-"))
	})

	It("say so when there is no address left", func(ctx SpecContext) {
		services := c.Client.CoreV1().Services(ns)
		for i := range addresses {
			_, err := services.Create(ctx, harness.Service(fmt.Sprintf("web-%d", i), "web", corev1.ServiceTypeLoadBalancer), metav1.CreateOptions{})
			Expect(err).NotTo(HaveOccurred())
		}
		Eventually(ctx, func(ctx context.Context) (given int, err error) {
			list, err := services.List(ctx, metav1.ListOptions{})
			seen := map[string]bool{}
			for _, s := range list.Items {
				for _, at := range s.Status.LoadBalancer.Ingress {
					seen[at.IP] = true
				}
			}
			return len(seen), err
		}).WithTimeout(harness.BalancerTimeout).Should(Equal(addresses), "each an address of its own")
		Eventually(ctx, func(ctx context.Context) ([]string, error) {
			list, err := c.Client.CoreV1().Events(ns).List(ctx, metav1.ListOptions{FieldSelector: "reason=AllocationFailed"})
			var told []string
			for _, e := range list.Items {
				told = append(told, e.Message)
			}
			return told, err
		}).WithTimeout(time.Minute).Should(ContainElement(ContainSubstring("no available IPs")))
	})
})
