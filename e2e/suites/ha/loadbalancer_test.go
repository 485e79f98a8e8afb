package ha_test

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

var _ = Describe("The load balancer", Serial, func() {
	It("comes back by itself when haproxy is killed, and no node goes NotReady", harness.Short, func(ctx SpecContext) {
		e := engine(ctx)
		w := c.StartCounter(ctx)
		port := portOf(ctx, e)
		Expect(e.Crash(ctx, loadBalancer())).To(Succeed())
		w.AwaitMore(ctx, 50, outage+30*time.Second)
		Expect(portOf(ctx, e)).To(Equal(port))
		Consistently(ctx, func(ctx context.Context) ([]string, error) { return c.NotReady(ctx) }).
			WithTimeout(10 * time.Second).Should(BeEmpty())
		verifyNoOutage(ctx, w)
	})

	It("is not needed by the nodes", harness.Long, func(ctx SpecContext) {
		e := engine(ctx)
		port := portOf(ctx, e)
		Expect(e.Stop(ctx, loadBalancer())).To(Succeed())
		DeferCleanup(e.Start, loadBalancer())
		stopped := time.Now()
		// A node is called NotReady 50 s after it was last heard of.
		Consistently(ctx, notReadyInside).WithTimeout(75 * time.Second).WithPolling(3 * time.Second).Should(BeEmpty())
		Expect(silentInside(ctx, stopped.Add(time.Minute))).To(BeEmpty(), "nodes go on to report")
		Expect(e.Start(ctx, loadBalancer())).To(Succeed())
		c.AwaitNodes(ctx, e, recovery)
		Expect(portOf(ctx, e)).To(Equal(port))
	})
})

// portOf is where the load balancer is published on the host.
func portOf(ctx context.Context, e *harness.Engine) string {
	GinkgoHelper()
	lb, err := e.Inspect(ctx, loadBalancer())
	Expect(err).NotTo(HaveOccurred())
	Expect(lb.Ports).To(HaveLen(1))
	return lb.Ports["16443/tcp"]
}

// notReadyInside names the nodes that are not Ready, asked from inside a
// control plane, where the load balancer is not needed.
func notReadyInside(ctx context.Context) ([]string, error) {
	var list corev1.NodeList
	err := inside(ctx, &list, "nodes")
	var out []string
	for _, n := range list.Items {
		if harness.NodeReady(n).Status != corev1.ConditionTrue {
			out = append(out, n.Name)
		}
	}
	return out, err
}

// silentInside names the nodes that have not renewed their lease since.
func silentInside(ctx context.Context, since time.Time) ([]string, error) {
	var list coordinationv1.LeaseList
	err := inside(ctx, &list, "leases", "--namespace=kube-node-lease")
	var out []string
	for _, l := range list.Items {
		if l.Spec.RenewTime.Time.Before(since) {
			out = append(out, l.Name)
		}
	}
	return out, err
}

// inside lists objects with a control plane's own kubectl.
func inside(ctx context.Context, into any, get ...string) error {
	cmd := append([]string{"kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "--output=json", "get"}, get...)
	r := c.Exec(ctx, controlPlane(1), cmd...)
	if err := json.Unmarshal([]byte(r.Stdout), into); err != nil {
		return fmt.Errorf("%w\n%s", err, r)
	}
	return nil
}
