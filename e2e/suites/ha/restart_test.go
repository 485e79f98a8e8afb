package ha_test

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sync/errgroup"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

var _ = Describe("All containers restarted at once", Serial, harness.Short, func() {
	It("are the same cluster again", func(ctx SpecContext) {
		e := engine(ctx)
		ns := c.Namespace(ctx)
		c.Deploy(ctx, ns, harness.Deployment("web", nodes, harness.Web(c.Image(ctx, "agnhost"))))
		before := places(ctx, e)
		list, err := e.Containers(ctx, c.Name)
		Expect(err).NotTo(HaveOccurred())
		Expect(list).To(HaveLen(nodes + 1))

		began := time.Now()
		g, restarting := errgroup.WithContext(ctx)
		for _, found := range list {
			g.Go(func() error { return e.Restart(restarting, found.Name) })
		}
		Expect(g.Wait()).To(Succeed())
		awaitWhole(ctx, e)
		report("from restart to whole", time.Since(began))

		Expect(places(ctx, e)).To(Equal(before), "addresses and ports")
		c.AwaitDeployment(ctx, ns, "web")
		for _, p := range c.Pods(ctx, ns, "web") {
			Eventually(ctx, func(ctx context.Context) harness.Result {
				return c.Exec(ctx, p.Spec.NodeName, "curl", "-sS", "--noproxy", "*", "-m", "5",
					fmt.Sprintf("http://%s:%d/hostname", podIP(ctx, ns, p.Name), harness.WebPort))
			}).WithTimeout(2*time.Minute).Should(HaveField("Stdout", p.Name), "the workload is still there")
		}
	})
})

// places are the fixed address and the published ports of every container.
func places(ctx context.Context, e *harness.Engine) map[string]string {
	GinkgoHelper()
	list, err := e.Containers(ctx, c.Name)
	Expect(err).NotTo(HaveOccurred())
	out := map[string]string{}
	for _, found := range list {
		out[found.Name] = fmt.Sprintf("%s %v", found.Address, found.Ports)
		if found.Name == loadBalancer() {
			out[found.Name] = fmt.Sprint(found.Ports) // its address is not fixed
		}
	}
	return out
}

// podIP is a pod's address now: a restart of its node may change it.
func podIP(ctx context.Context, ns, name string) string {
	for _, p := range c.Pods(ctx, ns, "web") {
		if p.Name == name {
			return p.Status.PodIP
		}
	}
	return ""
}
