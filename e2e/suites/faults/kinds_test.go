package faults_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

// kinds are clusters unlike the one that the other specs hurt.
var kinds = []struct {
	name string
	args []string
	file string // a configuration instead of args
}{
	{"of CRI-O", []string{"--control-planes", "1", "--workers", "2", "--runtime", "cri-o"}, ""},
	{"with IPv6 alone", nil, `apiVersion: kluster.dev/v1alpha1
kind: Cluster
nodes:
- {role: control-plane}
- {role: worker, count: 2}
networking: {ipFamily: ipv6}
`},
}

// hurt makes a cluster, which is the one that is hurt until the spec ends.
func hurt(ctx SpecContext, args []string, file string) {
	GinkgoHelper()
	if file != "" {
		args = harness.Config(file)
	}
	usual := c
	k := &harness.Kluster{Bin: usual.Bin, Kubeconfig: usual.Kubeconfig}
	name := harness.Name("faults-kind")
	DeferCleanup(func(ctx SpecContext) {
		c = usual
		k.Delete(ctx, name)
	})
	c = k.Create(ctx, name, args...)
}

// Faults of the network are the ones that depend on what a cluster is made of.
var _ = Describe("A network that is hurt", Serial, harness.Long, func() {
	for _, kind := range kinds {
		It("of a cluster "+kind.name, func(ctx SpecContext) {
			hurt(ctx, kind.args, kind.file)
			canTalk(ctx, worker(1), worker(2), true)
			ns := c.Namespace(ctx)
			pods := c.DeployEverywhere(ctx, ns, harness.DaemonSet("web", harness.Web(c.Image(ctx, "agnhost"))))
			asks := func(ctx context.Context) bool {
				return c.Exec(ctx, worker(1), "curl", "-sS", "--noproxy", "*", "-m", "2",
					"http://"+at(pods[worker(2)].Status.PodIP, harness.WebPort)+"/hostname").Code == 0
			}
			Eventually(ctx, asks).WithTimeout(late).Should(BeTrue())

			By("a partition")
			begin(ctx, "partition", "worker-1", "--for", "10m")
			canTalk(ctx, worker(1), worker(2), false)
			Expect(asks(ctx)).To(BeFalse(), "pods")
			clearAll(ctx)
			canTalk(ctx, worker(1), worker(2), true)
			Eventually(ctx, asks).WithTimeout(late).Should(BeTrue())

			By("latency")
			before, _ := ping(ctx, worker(1), worker(2), 10)
			begin(ctx, "latency", "worker-1", "--from", "worker-2", "--delay", "80ms", "--for", "10m")
			slow, _ := ping(ctx, worker(1), worker(2), 20)
			report("round trip before", before)
			report("round trip with 80 ms", slow)
			Expect(slow).To(BeNumerically("~", 80*time.Millisecond+before, 40*time.Millisecond))
			clearAll(ctx)

			By("loss")
			losesPackets(ctx)
			nothingInside(ctx)
			nothingLeft(ctx)
		}, NodeTimeout(harness.CreateTimeout+10*time.Minute))
	}
})
