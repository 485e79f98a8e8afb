package faults_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

// mainPID is that of a unit's main process in a node.
func mainPID(ctx context.Context, node, unit string) string {
	return strings.TrimSpace(c.Exec(ctx, node, "systemctl", "show", "--property=MainPID", "--value", unit).Stdout)
}

// pidOf is a program's in a node, "" if it does not run.
func pidOf(ctx context.Context, node, program string) string {
	return strings.TrimSpace(c.Exec(ctx, node, "pgrep", "-o", "-x", program).Stdout)
}

var _ = Describe("A process that is killed", Serial, func() {
	for process, unit := range map[string]string{"kubelet": "kubelet.service", "runtime": "containerd.service"} {
		It("comes back: "+process, harness.Short, func(ctx SpecContext) {
			before := mainPID(ctx, worker(1), unit)
			killed := time.Now()
			c.Must(ctx, "fault", "kill-process", "worker-1", "--process", process, "--cluster", c.Name)
			Eventually(ctx, mainPID).WithArguments(worker(1), unit).WithTimeout(time.Minute).WithPolling(100 * time.Millisecond).
				ShouldNot(Or(Equal(before), Equal("0"), BeEmpty()))
			report("it runs again after", time.Since(killed))
			c.AwaitNodes(ctx, engine(ctx), 3*time.Minute)
		})
	}

	for process, program := range map[string]string{
		"etcd": "etcd", "apiserver": "kube-apiserver", "scheduler": "kube-scheduler", "controller-manager": "kube-controller",
	} {
		It("comes back: "+process, harness.Long, func(ctx SpecContext) {
			before := pidOf(ctx, controlPlane(), program)
			Expect(before).NotTo(BeEmpty())
			killed := time.Now()
			c.Must(ctx, "fault", "kill-process", "control-plane-1", "--process", process, "--cluster", c.Name)
			Eventually(ctx, pidOf).WithArguments(controlPlane(), program).WithTimeout(2 * time.Minute).WithPolling(200 * time.Millisecond).
				ShouldNot(Or(Equal(before), BeEmpty()))
			report("it runs again after", time.Since(killed))
			c.AwaitNodes(ctx, engine(ctx), 3*time.Minute)
		})
	}

	It("comes back: haproxy", harness.Long, func(ctx SpecContext) {
		before := pidOf(ctx, loadBalancer(), "haproxy")
		c.Must(ctx, "fault", "kill-process", "lb", "--process", "haproxy", "--cluster", c.Name)
		Eventually(ctx, pidOf).WithArguments(loadBalancer(), "haproxy").WithTimeout(late).ShouldNot(Or(Equal(before), BeEmpty()))
		Eventually(ctx, askAPI).WithTimeout(late).Should(Succeed())
	})

	It("is kept from running for a while, and comes back at once", harness.Long, func(ctx SpecContext) {
		a := begin(ctx, "kill-process", "worker-1", "--process", "runtime", "--for", "1m")
		died := map[string]bool{}
		Eventually(ctx, func(ctx context.Context) int {
			died[mainPID(ctx, worker(1), "containerd.service")] = true
			return len(died)
		}).WithTimeout(time.Until(a.Until)).WithPolling(200*time.Millisecond).Should(BeNumerically(">", 3), "it is killed again and again")
		Eventually(ctx, list).WithTimeout(time.Until(a.Until) + late).Should(BeEmpty())
		Eventually(ctx, c.Exec).WithArguments(worker(1), "crictl", "info").WithTimeout(late).Should(HaveField("Code", 0))
		report("the runtime answers after its time", time.Since(a.Until))
		c.AwaitNodes(ctx, engine(ctx), 3*time.Minute)
	})

	It("is refused where it does not run", harness.Short, func(ctx SpecContext) {
		r := c.Run(ctx, "fault", "kill-process", "worker-1", "--process", "etcd", "--cluster", c.Name)
		Expect(r.Code).To(Equal(2), r.String())
		Expect(r.Stderr).To(ContainSubstring("has no etcd"))
	})
})

var _ = Describe("Pressure", Serial, harness.Long, func() {
	It("on processors", func(ctx SpecContext) {
		before := cpuTime(ctx, worker(1))
		a := begin(ctx, "cpu", "worker-1", "--cpus", "1", "--for", "15s")
		Eventually(ctx, func(ctx context.Context) time.Duration { return cpuTime(ctx, worker(1)) - before }).
			WithTimeout(time.Minute).Should(BeNumerically(">", 4*time.Second), "time that processors have worked for the node")
		Eventually(ctx, list).WithTimeout(time.Until(a.Until) + late).Should(BeEmpty())
		Expect(pidOf(ctx, worker(1), "kluster-node")).NotTo(Equal(burner(ctx)))
		Expect(burner(ctx)).To(BeEmpty())
	})

	It("on memory", func(ctx SpecContext) {
		before := memory(ctx, worker(1))
		a := begin(ctx, "memory", "worker-1", "--size", "300Mi", "--for", "10s")
		Expect(memory(ctx, worker(1))-before).To(BeNumerically(">", 250<<20), "it holds when the command returns")
		Eventually(ctx, list).WithTimeout(time.Until(a.Until) + late).Should(BeEmpty())
		Eventually(ctx, func(ctx context.Context) int { return memory(ctx, worker(1)) - before }).
			WithTimeout(late).Should(BeNumerically("<", 150<<20))

		r := c.Run(ctx, "fault", "memory", "worker-1", "--cluster", c.Name)
		Expect(r.Code).To(Equal(4), r.String())
		Expect(r.Stderr).To(ContainSubstring("no limit of its own"))
		Expect(r.Stderr).To(ContainSubstring("nothing was changed"))
	})

	It("lasts no longer when its process or its timer is killed", func(ctx SpecContext) {
		a := begin(ctx, "cpu", "worker-1", "--cpus", "1", "--for", "6s")
		c.MustExec(ctx, worker(1), "systemctl", "stop", "kluster-undo-"+a.ID+".timer")
		Eventually(ctx, burner).WithTimeout(late).Should(BeEmpty(), "it ends by itself")
	})
})

// burner is the process of a fault in worker 1.
func burner(ctx context.Context) string {
	return strings.TrimSpace(c.Exec(ctx, worker(1), "pgrep", "-f", "kluster-node fault work").Stdout)
}

// use asks the engine through kluster what a machine uses.
func use(ctx context.Context, node, field string) float64 {
	GinkgoHelper()
	r := c.MustExec(ctx, node, "sh", "-c", map[string]string{
		"cpu":    "cat /sys/fs/cgroup/cpu.stat 2>/dev/null | awk '/usage_usec/{print $2*1000}' | grep . || cat /sys/fs/cgroup/cpu,cpuacct/cpuacct.usage /sys/fs/cgroup/cpuacct/cpuacct.usage 2>/dev/null | head -1",
		"memory": "cat /sys/fs/cgroup/memory.current 2>/dev/null || cat /sys/fs/cgroup/memory/memory.usage_in_bytes",
	}[field])
	n, err := strconv.ParseFloat(strings.TrimSpace(r), 64)
	Expect(err).NotTo(HaveOccurred(), fmt.Sprintf("%s of %s: %q", field, node, r))
	return n
}

func cpuTime(ctx context.Context, node string) time.Duration {
	return time.Duration(use(ctx, node, "cpu"))
}

func memory(ctx context.Context, node string) int { return int(use(ctx, node, "memory")) }
