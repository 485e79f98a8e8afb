package ha_test

import (
	"context"
	"encoding/json"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

var _ = Describe("A Service of type LoadBalancer", Serial, harness.Long, func() {
	It("survives the death of the node that serves it", func(ctx SpecContext) {
		e, ns := engine(ctx), c.Namespace(ctx)
		c.Deploy(ctx, ns, harness.Deployment("web", nodes, harness.Web(c.Image(ctx, "agnhost"))))
		s := c.Expose(ctx, ns, harness.Service("web", "web", corev1.ServiceTypeLoadBalancer))
		url := "http://" + harness.BalancerIP(s) + "/hostname"
		harness.Answers(ctx, url, HavePrefix("web-"))
		Eventually(ctx, servingNode).WithArguments(ns).WithTimeout(time.Minute).ShouldNot(BeEmpty())
		victim, err := servingNode(ctx, ns)
		Expect(err).NotTo(HaveOccurred())

		killed := time.Now()
		Expect(e.Kill(ctx, victim)).To(Succeed())
		DeferCleanup(e.Start, victim)
		Eventually(ctx, func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			_, err := harness.Get(ctx, url)
			return err
		}).WithTimeout(outage).WithPolling(100 * time.Millisecond).Should(Succeed())
		report("from kill to the first answer of another node", time.Since(killed))

		// Until Kubernetes calls the node NotReady, connections are still sent to its pod.
		Eventually(ctx, func(ctx context.Context) int { return answersOf(ctx, url, 10) }).
			WithTimeout(recovery).Should(Equal(10))
		report("from kill to ten answers of ten", time.Since(killed))
		Expect(servingNode(ctx, ns)).NotTo(Equal(victim))

		Expect(e.Start(ctx, victim)).To(Succeed())
		awaitWhole(ctx, e)
		harness.Answers(ctx, url, HavePrefix("web-"))
	})
})

// answersOf is how many of some requests, one after the other, are answered within a
// second each.
func answersOf(ctx context.Context, url string, requests int) (answers int) {
	for range requests {
		asked, cancel := context.WithTimeout(ctx, time.Second)
		if _, err := harness.Get(asked, url); err == nil {
			answers++
		}
		cancel()
	}
	return answers
}

// servingNode is the node that the packets of the only Service of a namespace go to, as
// MetalLB tells.
func servingNode(ctx context.Context, ns string) (string, error) {
	text, err := c.Client.CoreV1().RESTClient().Get().
		AbsPath("/apis/metallb.io/v1beta1/namespaces/metallb-system/servicel2statuses").DoRaw(ctx)
	if err != nil {
		return "", err
	}
	var list struct {
		Items []struct {
			Status struct{ Node, ServiceNamespace string }
		}
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return "", err
	}
	for _, s := range list.Items {
		if s.Status.ServiceNamespace == ns {
			return s.Status.Node, nil
		}
	}
	return "", nil
}
