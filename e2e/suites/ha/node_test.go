package ha_test

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kluster-project/kluster"
	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

var _ = Describe("kluster node", Serial, func() {
	It("stops no control plane that etcd needs, and starts what it stopped", harness.Short, func(ctx SpecContext) {
		e := engine(ctx)
		w := c.StartCounter(ctx)
		c.Must(ctx, "node", "stop", controlPlane(1))
		DeferCleanup(e.Start, controlPlane(1))
		Expect(statusOf(ctx)).To(Equal("degraded"))
		refused := c.Run(ctx, "node", "stop", controlPlane(2))
		Expect(refused.Code).To(Equal(4), refused.String())
		Expect(refused.Stderr).To(And(ContainSubstring("leaves 1 of 3 control planes"), ContainSubstring("--force")))
		w.AwaitMore(ctx, 20, outage)

		began := time.Now()
		r := c.Must(ctx, "node", "start", "control-plane-1", "--cluster", c.Name, "-o", "json")
		report("node start, until it is Ready", time.Since(began))
		var result struct {
			Verb  string
			Nodes []struct {
				Node, Before, State string
				Ready, Changed      bool
			}
		}
		r.Decode(&result)
		Expect(result.Nodes).To(HaveLen(1))
		Expect(result.Nodes[0]).To(And(HaveField("Node", controlPlane(1)), HaveField("Before", "stopped"),
			HaveField("State", "running"), HaveField("Ready", true), HaveField("Changed", true)))
		awaitWhole(ctx, e)
		verifyNoOutage(ctx, w)
	})

	for _, verb := range []string{"restart", "reboot"} {
		It(verb+"s all control planes one after the other, and writes go on", harness.Long, func(ctx SpecContext) {
			e := engine(ctx)
			before, boots := started(ctx, e), bootsOf(ctx)
			w := c.StartCounter(ctx)
			began := time.Now()
			c.Must(ctx, "node", verb, controlPlane(1), controlPlane(2), controlPlane(3))
			report("node "+verb+" of three", time.Since(began))
			for name, since := range started(ctx, e) {
				if name == loadBalancer() {
					Expect(since).To(Equal(before[name]))
					continue
				}
				Expect(since).To(BeTemporally(">", before[name]), name)
			}
			for name, boot := range bootsOf(ctx) {
				Expect(boot).NotTo(Equal(boots[name]), name)
			}
			awaitWhole(ctx, e)
			verifyNoOutage(ctx, w)
		})
	}

	It("is interrupted, and says so", harness.Long, func(ctx SpecContext) {
		e := engine(ctx)
		k := *c.Kluster
		k.Env = append(k.Env, "KLUSTER_TEST_INTERRUPT_AT=readiness")
		r := k.Run(ctx, "node", "restart", controlPlane(3), "-o", "json")
		Expect(r.Code).To(Equal(130), r.String())
		Expect(json.Valid([]byte(r.Stdout))).To(BeTrue(), r.String())
		c.Must(ctx, "node", "start", controlPlane(3))
		awaitWhole(ctx, e)
	})
})

// bootsOf tells the boots of nodes apart: by when their first processes began.
func bootsOf(ctx context.Context) map[string]string {
	out := map[string]string{}
	for i := range nodes {
		out[controlPlane(i+1)] = strings.TrimSpace(c.MustExec(ctx, controlPlane(i+1), "systemctl", "show", "-p", "UserspaceTimestamp"))
	}
	return out
}

var _ = Describe("The public package", Serial, harness.Short, func() {
	It("stops and starts a node of a cluster that the command made", func(ctx SpecContext) {
		e, err := kluster.Connect(ctx, kluster.Options{Program: c.Bin, Log: GinkgoWriter})
		Expect(err).NotTo(HaveOccurred())
		cluster, err := e.Open(ctx, c.Name)
		Expect(err).NotTo(HaveOccurred())
		victim := controlPlane(3)
		Expect(cluster.StopNodes(ctx, kluster.StopOptions{}, victim)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { Expect(cluster.StartNodes(ctx, victim)).To(Succeed()) })
		Expect(cluster.Nodes(ctx)).To(ContainElement(And(HaveField("Name", victim), HaveField("State", kluster.Stopped))))
		Expect(cluster.StopNodes(ctx, kluster.StopOptions{}, controlPlane(1))).To(MatchError(ContainSubstring("etcd needs 2")))
		late, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		Expect(cluster.WaitReady(late)).To(MatchError(ContainSubstring(victim + " is stopped")))

		Expect(cluster.StartNodes(ctx, victim)).To(Succeed())
		Expect(cluster.WaitReady(ctx)).To(Succeed())
		Expect(cluster.Exec(ctx, victim, "hostname")).To(Equal(victim + "\n"))
		conf, err := cluster.Kubeconfig(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(conf)).To(ContainSubstring("kluster-" + c.Name))
	})
})
