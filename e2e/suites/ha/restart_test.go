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

var _ = Describe("A whole cluster that goes away", Serial, func() {
	for _, away := range []struct {
		how   string
		size  Labels
		there func(ctx SpecContext, e *harness.Engine) // until it is ready again, or shall be by itself
	}{
		{"restarted by the engine, all machines at once", harness.Short, func(ctx SpecContext, e *harness.Engine) {
			eachMachine(ctx, e, e.Restart)
		}},
		{"stopped and started", harness.Short, func(ctx SpecContext, _ *harness.Engine) {
			c.Must(ctx, "stop", c.Name)
			Expect(statusOf(ctx)).To(Equal("stopped"))
			c.Must(ctx, "start", c.Name)
		}},
		{"restarted", harness.Long, func(ctx SpecContext, _ *harness.Engine) { c.Must(ctx, "restart", c.Name) }},
		{"stopped by the engine, and started", harness.Long, func(ctx SpecContext, e *harness.Engine) {
			eachMachine(ctx, e, e.Stop)
			c.Must(ctx, "start", c.Name)
		}},
		{"killed (SIGKILL), and started", harness.Long, func(ctx SpecContext, e *harness.Engine) {
			eachMachine(ctx, e, e.Kill)
			Expect(statusOf(ctx)).To(Equal("stopped"))
			c.Must(ctx, "start", c.Name)
		}},
		{"crashed, the first processes of all machines at once", harness.Long, func(ctx SpecContext, e *harness.Engine) {
			eachMachine(ctx, e, e.Crash)
		}},
		{"paused, and stopped and started", harness.Long, func(ctx SpecContext, _ *harness.Engine) {
			c.Must(ctx, "pause", c.Name)
			c.Must(ctx, "stop", c.Name)
			c.Must(ctx, "start", c.Name)
		}},
	} {
		It("is the same cluster again when it was "+away.how, away.size, func(ctx SpecContext) {
			e := engine(ctx)
			ns := c.Namespace(ctx)
			c.Deploy(ctx, ns, harness.Deployment("web", nodes, harness.Web(c.Image(ctx, "agnhost"))))
			before := places(ctx, e)
			w := c.StartCounter(ctx)

			began := time.Now()
			away.there(ctx, e)
			awaitWhole(ctx, e)
			report("from the first moment to whole", time.Since(began))

			Expect(places(ctx, e)).To(Equal(before), "addresses and ports")
			Expect(statusOf(ctx)).To(Equal("running"))
			w.AwaitMore(ctx, 20, time.Minute)
			w.Verify(ctx, "around it")
			serves(ctx, ns)
		})
	}
})

var _ = Describe("A cluster that is paused", Serial, harness.Long, func() {
	It("goes on where it was", func(ctx SpecContext) {
		e := engine(ctx)
		ns := c.Namespace(ctx)
		c.Deploy(ctx, ns, harness.Deployment("web", nodes, harness.Web(c.Image(ctx, "agnhost"))))
		before, pods := started(ctx, e), containersOf(ctx, ns)
		w := c.StartCounter(ctx)

		c.Must(ctx, "pause", c.Name)
		Expect(statusOf(ctx)).To(Equal("paused"))
		still := w.Acknowledged()
		Consistently(ctx, w.Acknowledged).WithTimeout(3 * time.Second).Should(Equal(still))
		began := time.Now()
		c.Must(ctx, "resume", c.Name)
		report("from resume to ready", time.Since(began))

		w.AwaitMore(ctx, 20, time.Minute)
		w.Verify(ctx, "around it")
		Expect(started(ctx, e)).To(Equal(before), "no machine was started again")
		Expect(containersOf(ctx, ns)).To(Equal(pods), "no container was started again")
		serves(ctx, ns)
	})
})

// eachMachine does something to all of a cluster's containers at once.
func eachMachine(ctx context.Context, e *harness.Engine, do func(ctx context.Context, name string) error) {
	GinkgoHelper()
	list, err := e.Containers(ctx, c.Name)
	Expect(err).NotTo(HaveOccurred())
	Expect(list).To(HaveLen(nodes + 1))
	g, doing := errgroup.WithContext(ctx)
	for _, found := range list {
		g.Go(func() error { return do(doing, found.Name) })
	}
	Expect(g.Wait()).To(Succeed())
}

// statusOf is what kluster calls the state of the cluster.
func statusOf(ctx context.Context) string {
	GinkgoHelper()
	var list []struct{ Name, Status string }
	c.Must(ctx, "get", "clusters", "-o", "json").Decode(&list)
	for _, found := range list {
		if found.Name == c.Name {
			return found.Status
		}
	}
	return "not there"
}

// serves sees that every pod of the workload is there and answers.
func serves(ctx context.Context, ns string) {
	GinkgoHelper()
	c.AwaitDeployment(ctx, ns, "web")
	for _, p := range c.Pods(ctx, ns, "web") {
		Eventually(ctx, func(ctx context.Context) harness.Result {
			return c.Exec(ctx, p.Spec.NodeName, "curl", "-sS", "--noproxy", "*", "-m", "5",
				fmt.Sprintf("http://%s:%d/hostname", podIP(ctx, ns, p.Name), harness.WebPort))
		}).WithTimeout(2*time.Minute).Should(HaveField("Stdout", p.Name), "the workload is still there")
	}
}

// started is when each machine was.
func started(ctx context.Context, e *harness.Engine) map[string]time.Time {
	GinkgoHelper()
	list, err := e.Containers(ctx, c.Name)
	Expect(err).NotTo(HaveOccurred())
	out := map[string]time.Time{}
	for _, found := range list {
		out[found.Name] = found.Started
	}
	return out
}

// containersOf are the containers of a workload by pod, which are others after a restart.
func containersOf(ctx context.Context, ns string) map[string]string {
	GinkgoHelper()
	out := map[string]string{}
	for _, p := range c.Pods(ctx, ns, "web") {
		for _, s := range p.Status.ContainerStatuses {
			out[p.Name] += s.ContainerID + " "
		}
	}
	return out
}

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
