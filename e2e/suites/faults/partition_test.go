package faults_test

import (
	"context"
	"fmt"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

// canTalk expects what passes between two nodes, each asking the other's kubelet. One way
// is enough to stop both: neither hears the other's part of the handshake.
func canTalk(ctx context.Context, a, b string, want bool) {
	GinkgoHelper()
	for _, pair := range [][2]string{{a, b}, {b, a}} {
		Eventually(ctx, answers).WithArguments(pair[0], pair[1]).WithTimeout(late).Should(Equal(want), "%s asks %s", pair[0], pair[1])
	}
}

var _ = Describe("A partition", Serial, func() {
	It("cuts a node off from all others", harness.Short, func(ctx SpecContext) {
		canTalk(ctx, worker(1), worker(2), true)
		a := begin(ctx, "partition", "worker-1", "--for", "10m")
		Expect(list(ctx)).To(ConsistOf(HaveField("ID", a.ID)))
		canTalk(ctx, worker(1), worker(2), false)
		Expect(answers(ctx, worker(2), controlPlane())).To(BeTrue(), "the others are not cut off")
		Expect(c.Exec(ctx, worker(1), "true").Code).To(Equal(0), "the host still reaches it")
		c.Must(ctx, "fault", "clear", a.ID, "--cluster", c.Name)
		canTalk(ctx, worker(1), worker(2), true)
		nothingInside(ctx)
	})

	It("is undone in time when kluster is killed", harness.Short, func(ctx SpecContext) {
		p, err := c.Start(ctx, nil, "fault", "partition", "worker-1", "--cluster", c.Name, "--for", "6s")
		Expect(err).NotTo(HaveOccurred())
		Eventually(ctx, answers).WithArguments(worker(2), worker(1)).WithTimeout(late).Should(BeFalse())
		Expect(p.Signal(syscall.SIGKILL)).To(Succeed())
		p.Wait()
		Eventually(ctx, answers).WithArguments(worker(2), worker(1)).WithTimeout(late).WithPolling(100 * time.Millisecond).Should(BeTrue())
		Eventually(ctx, list).WithTimeout(late).Should(BeEmpty())
		nothingInside(ctx)
	})

	for direction, cut := range map[string][2]string{"in": {"saddr", "arrival"}, "out": {"daddr", "leaving"}} {
		It("cuts one way: "+direction, harness.Long, func(ctx SpecContext) {
			began := dropped(ctx, worker(1))
			Expect(began).To(BeZero())
			begin(ctx, "partition", "worker-1", "--from", "worker-2", "--direction", direction, "--for", "5m")
			canTalk(ctx, worker(1), worker(2), false)
			Expect(answers(ctx, worker(1), controlPlane())).To(BeTrue(), "only worker-2 is on the other side")
			rules := c.MustExec(ctx, worker(1), "nft", "list", "ruleset")
			Expect(rules).To(ContainSubstring("chain " + cut[1]))
			// Datagrams need no handshake: they pass the way that is left.
			Expect(datagram(ctx, worker(1), worker(2))).To(Equal(direction == "in"))
			Expect(datagram(ctx, worker(2), worker(1))).To(Equal(direction == "out"))
			Expect(dropped(ctx, worker(1))).To(BeNumerically(">", 0))
		})
	}

	It("cuts pods and established connections, too", harness.Long, func(ctx SpecContext) {
		ns := c.Namespace(ctx)
		pods := c.DeployEverywhere(ctx, ns, harness.DaemonSet("web", harness.Web(c.Image(ctx, "agnhost"))))
		asks := func(ctx context.Context) bool {
			return c.Exec(ctx, worker(1), "curl", "-sS", "--noproxy", "*", "-m", "2",
				fmt.Sprintf("http://%s:%d/hostname", pods[worker(2)].Status.PodIP, harness.WebPort)).Code == 0
		}
		Eventually(ctx, asks).WithTimeout(late).Should(BeTrue())
		// A connection that has one request after the other.
		slow := fmt.Sprintf("for i in $(seq 60); do printf 'GET /hostname HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'; sleep 0.5; done | timeout 60 socat - TCP:%s:%d > /tmp/answers",
			pods[worker(2)].Status.PodIP, harness.WebPort)
		c.MustExec(ctx, worker(1), "systemd-run", "--collect", "--unit=it-slow", "sh", "-c", slow)
		DeferCleanup(c.Exec, worker(1), "systemctl", "stop", "it-slow")
		count := func(ctx context.Context) string {
			return c.MustExec(ctx, worker(1), "grep", "-c", "HTTP/1.1", "/tmp/answers")
		}
		Eventually(ctx, count).WithTimeout(late).ShouldNot(Equal("0\n"))

		a := begin(ctx, "partition", "worker-1", "--for", "5m")
		Expect(asks(ctx)).To(BeFalse(), "pods")
		then := count(ctx)
		Consistently(ctx, count).WithTimeout(3*time.Second).Should(Equal(then), "an established connection")
		c.Must(ctx, "fault", "clear", a.ID, "--cluster", c.Name)
		Eventually(ctx, asks).WithTimeout(late).Should(BeTrue())
		Eventually(ctx, count).WithTimeout(late).ShouldNot(Equal(then), "it goes on")
	})

	It("cuts the load balancer off", harness.Long, func(ctx SpecContext) {
		begin(ctx, "partition", "lb", "--for", "5m")
		Eventually(ctx, askAPI).WithTimeout(time.Minute).ShouldNot(Succeed(), "no API from the host")
		canTalk(ctx, worker(1), controlPlane(), true)
		clearAll(ctx)
		Eventually(ctx, askAPI).WithTimeout(time.Minute).Should(Succeed())
	})

	It("ends with the node's run", harness.Long, func(ctx SpecContext) {
		begin(ctx, "partition", "worker-1", "--for", "5m")
		canTalk(ctx, worker(1), worker(2), false)
		Expect(engine(ctx).Restart(ctx, worker(1))).To(Succeed())
		c.AwaitNodes(ctx, engine(ctx), 3*time.Minute)
		canTalk(ctx, worker(1), worker(2), true)
		Expect(list(ctx)).To(BeEmpty())
	})
})

// nothingInside sees that nothing of a fault is left in worker 1.
func nothingInside(ctx context.Context) {
	GinkgoHelper()
	Expect(c.MustExec(ctx, worker(1), "nft", "list", "tables")).NotTo(ContainSubstring("kluster_fault"))
	Expect(c.MustExec(ctx, worker(1), "ls", "/run/kluster/faults")).To(Equal("lock\n"))
	Eventually(ctx, c.MustExec).WithArguments(worker(1), "systemctl", "list-units", "--all", "--plain", "kluster-undo-*", "kluster-fault-*").
		WithTimeout(late).ShouldNot(ContainSubstring("kluster-"))
}

// dropped counts the packets that the rules of faults have dropped in a node.
func dropped(ctx context.Context, node string) (packets int) {
	GinkgoHelper()
	text := c.MustExec(ctx, node, "sh", "-c", "nft list ruleset | awk '/table /{ours = /kluster_fault/} ours && /counter packets/{for (i = 1; i < NF; i++) if ($i == \"packets\") n += $(i+1)} END {print n+0}'")
	_, err := fmt.Sscan(text, &packets)
	Expect(err).NotTo(HaveOccurred(), text)
	return packets
}

// datagram says whether one gets from a node to another.
func datagram(ctx context.Context, from, to string) bool {
	GinkgoHelper()
	c.MustExec(ctx, to, "systemd-run", "--quiet", "--collect", "--unit=it-listen", "sh", "-c", "rm -f /tmp/heard; exec timeout 30 socat -u UDP-RECV:47123 CREATE:/tmp/heard")
	defer c.Exec(ctx, to, "systemctl", "stop", "it-listen")
	Eventually(ctx, c.MustExec).WithArguments(to, "ss", "-lun").WithTimeout(late).Should(ContainSubstring(":47123"))
	c.Exec(ctx, from, "sh", "-c", "echo word | socat -u - UDP:"+address(to)+":47123")
	// It comes at once, if it comes: the engine's network is that of one machine.
	return c.Exec(ctx, to, "cat", "/tmp/heard").Stdout == "word\n"
}
