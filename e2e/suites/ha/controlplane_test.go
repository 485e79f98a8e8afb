package ha_test

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

var _ = Describe("A control plane that is killed", Serial, harness.Short, func() {
	for i := range nodes {
		It(fmt.Sprintf("does not stop writes, and comes back: number %d", i+1), func(ctx SpecContext) {
			e, victim := engine(ctx), controlPlane(i+1)
			w := c.StartCounter(ctx)

			killed := time.Now()
			Expect(e.Kill(ctx, victim)).To(Succeed())
			DeferCleanup(e.Start, victim)
			w.AwaitMore(ctx, 50, outage+30*time.Second)

			started := time.Now()
			Expect(e.Start(ctx, victim)).To(Succeed())
			awaitWhole(ctx, e)
			report("from start to whole", time.Since(started))
			report("from kill to whole", time.Since(killed))
			w.AwaitMore(ctx, 20, time.Minute)
			verifyNoOutage(ctx, w)
		})
	}
})

var _ = Describe("Two control planes that are killed", Serial, harness.Long, func() {
	It("stop writes, lose none, and come back", func(ctx SpecContext) {
		e := engine(ctx)
		w := c.StartCounter(ctx)
		for _, i := range []int{1, 2} {
			Expect(e.Kill(ctx, controlPlane(i))).To(Succeed())
			DeferCleanup(e.Start, controlPlane(i))
		}
		// A write that was under way may still be acknowledged.
		before := w.Acknowledged()
		Consistently(ctx, w.Acknowledged).
			WithTimeout(15*time.Second).Should(BeNumerically("<=", before+1), "no quorum, no writes")

		for _, i := range []int{1, 2} {
			Expect(e.Start(ctx, controlPlane(i))).To(Succeed())
		}
		awaitWhole(ctx, e)
		w.AwaitMore(ctx, 20, time.Minute)
		w.Verify(ctx, "around the outage")
	})
})

var _ = Describe("A control plane that crashes", Serial, harness.Long, func() {
	It("comes back by itself", func(ctx SpecContext) {
		e := engine(ctx)
		w := c.StartCounter(ctx)
		before, err := e.Inspect(ctx, controlPlane(1))
		Expect(err).NotTo(HaveOccurred())
		Expect(e.Crash(ctx, controlPlane(1))).To(Succeed())
		Eventually(ctx, func(ctx context.Context) (bool, error) {
			now, err := e.Inspect(ctx, controlPlane(1))
			return now.Running && now.Started.After(before.Started), err
		}).WithTimeout(time.Minute).Should(BeTrue(), "the engine starts it again")
		awaitWhole(ctx, e)
		w.AwaitMore(ctx, 20, time.Minute)
		verifyNoOutage(ctx, w)
	})
})
