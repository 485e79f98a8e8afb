package faults_test

import (
	"context"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

var _ = Describe("A fault with a guard", Serial, func() {
	// What the engine calls a node while the fault holds.
	for kind, while := range map[string]string{"pause": "paused", "kill": "exited"} {
		It(kind+": the command waits until it is undone", harness.Short, func(ctx SpecContext) {
			p, err := c.Start(ctx, nil, "fault", kind, "worker-1", "--cluster", c.Name, "--for", "3s")
			Expect(err).NotTo(HaveOccurred())
			Eventually(ctx, engineState).WithArguments(worker(1)).WithTimeout(late).WithPolling(100 * time.Millisecond).Should(Equal(while))
			r := p.Wait()
			Expect(r.Code).To(Equal(0), r.String())
			Expect(r.Took).To(BeNumerically(">=", 3*time.Second))
			report("the whole command", r.Took)
			Expect(engineState(ctx, worker(1))).To(Equal("running"))
			nothingLeft(ctx)
			c.AwaitNodes(ctx, engine(ctx), 3*time.Minute)
		})
	}

	It("is undone in time when kluster is killed right after it has begun", harness.Short, func(ctx SpecContext) {
		a := begin(ctx, "pause", "worker-1", "--for", "4s")
		Expect(engineState(ctx, worker(1))).To(Equal("paused"))
		// Nobody of kluster is left but the guard, which no verb helps here.
		Eventually(ctx, engineState).WithArguments(worker(1)).WithTimeout(late).WithPolling(50 * time.Millisecond).Should(Equal("running"))
		report("undone after its time", time.Since(a.Until))
		nothingLeft(ctx)
	})

	It("is undone in time when kluster is killed at any moment", harness.Long, func(ctx SpecContext) {
		for _, after := range []time.Duration{50, 150, 300, 400, 500, 600, 700, 800, 1000, 1500} {
			p, err := c.Start(ctx, nil, "fault", "pause", "worker-1", "worker-2", "--cluster", c.Name, "--for", "3s")
			Expect(err).NotTo(HaveOccurred())
			time.Sleep(after * time.Millisecond) // the moment is what is tried
			Expect(p.Signal(syscall.SIGKILL)).To(Succeed())
			p.Wait()
			Eventually(ctx, func(ctx context.Context) (paused []string, err error) {
				for _, name := range []string{worker(1), worker(2)} {
					if s, err := engineState(ctx, name); err != nil || s == "paused" {
						return append(paused, name), err
					}
				}
				return paused, nil
			}).WithTimeout(late).WithPolling(100 * time.Millisecond).Should(BeEmpty())
			Eventually(guards).WithTimeout(late).Should(BeEmpty())
			Expect(records(ctx, c.Name)).To(BeEmpty(), "killed after %v", after*time.Millisecond)
		}
	})

	It("is undone by the next verb when its guard is killed", harness.Short, func(ctx SpecContext) {
		begin(ctx, "pause", "worker-1", "--for", "10m")
		killGuards()
		Expect(engineState(ctx, worker(1))).To(Equal("paused"), "nobody is there to undo it")
		Expect(state(ctx, worker(1))).To(Equal("running"), "the look is a verb")
		nothingLeft(ctx)
	})

	It("is undone at once by Ctrl-C and by clear", harness.Short, func(ctx SpecContext) {
		p, err := c.Start(ctx, nil, "fault", "pause", "lb", "--cluster", c.Name, "--for", "10m")
		Expect(err).NotTo(HaveOccurred())
		Eventually(ctx, engineState).WithArguments(loadBalancer()).WithTimeout(late).Should(Equal("paused"))
		Expect(p.Signal(syscall.SIGINT)).To(Succeed())
		r := p.Wait()
		Expect(r.Code).To(Equal(130), r.String())
		Expect(engineState(ctx, loadBalancer())).To(Equal("running"))

		a := begin(ctx, "pause", "lb", "--for", "10m")
		again := c.Run(ctx, "fault", "pause", "lb", "--cluster", c.Name)
		Expect(again.Code).To(Equal(4), again.String())
		Expect(again.Stderr).To(ContainSubstring("nothing was changed"))
		Expect(c.Must(ctx, "fault", "clear", a.ID, "--cluster", c.Name).Lines()).To(Equal([]string{a.ID}))
		Expect(engineState(ctx, loadBalancer())).To(Equal("running"))
		nothingLeft(ctx)
	})

	It("goes with its cluster, guard and record too", harness.Long, func(ctx SpecContext) {
		k := &harness.Kluster{Bin: c.Bin, Kubeconfig: c.Kubeconfig}
		other := k.Create(ctx, harness.Name("faults"), "--nodes", "1")
		DeferCleanup(other.Delete)
		for _, args := range [][]string{{"kill", "control-plane-1"}, {"pause", "lb"}} {
			other.Must(ctx, "fault", args[0], args[1], "--cluster", other.Name, "--for", "10m", "--detach")
		}
		Expect(guards()).To(HaveLen(2))
		Expect(records(ctx, other.Name)).To(HaveLen(2))
		other.Must(ctx, "delete", other.Name)
		Eventually(guards).WithTimeout(10 * time.Second).Should(BeEmpty())
		Expect(engine(ctx).Leftovers(ctx, other.Name)).To(BeEmpty())
	}, NodeTimeout(harness.CreateTimeout))
})

var _ = Describe("The look for overdue faults", harness.Long, Serial, func() {
	It("costs next to nothing", func(ctx SpecContext) {
		began := time.Now()
		for range 20 {
			Expect(records(ctx, c.Name+"-none")).To(BeEmpty())
		}
		AddReportEntry("one such look at the engine", (time.Since(began) / 20).String())
		began = time.Now()
		for range 10 {
			c.Must(ctx, "version")
		}
		version := time.Since(began) / 10
		began = time.Now()
		for range 10 {
			c.Must(ctx, "registry", "list")
		}
		report("kluster version", version)
		report("kluster registry list", time.Since(began)/10)
	})
})
