package runs_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

const (
	// lostTimeout is how long a run may go on after something broke for good: five
	// minutes, after one in which nobody notices that a node is silent, and three for its
	// specs to clean up.
	lostTimeout = 10 * time.Minute
	// backTimeout is for what comes back by itself, and the run after it.
	backTimeout = 5 * time.Minute
)

// ready waits until the cluster is whole again.
func ready(ctx context.Context, e *harness.Engine) {
	GinkgoHelper()
	c.AwaitNodes(ctx, e, 3*time.Minute)
}

// expectCounted checks that report and exit code say the same of how many specs ran.
func expectCounted(r *run, result harness.Result) {
	GinkgoHelper()
	s := r.report().Summarize()
	Expect(s.Executed + s.Skipped + s.Missing).To(Equal(s.Planned))
	Expect(result.Stdout).To(ContainSubstring(s.Headline()))
	want := map[report.Verdict]int{report.VerdictOK: 0, report.VerdictIncomplete: incomplete, report.VerdictFailed: failed}
	Expect(result.Code).To(Equal(want[s.Verdict]), result.String())
}

var _ = Describe("A run on a cluster that breaks", func() {
	It("ends when a node is killed, and says which", harness.Long, func(ctx SpecContext) {
		e, victim := engine(ctx), c.Name+"-worker-2"
		r := start(ctx)
		r.awaitSpecs(ctx)
		DeferCleanup(ready, e)
		Expect(e.Kill(ctx, victim)).To(Succeed())
		DeferCleanup(e.Start, victim)
		result := r.wait()
		Expect(result.Code).To(BeElementOf(incomplete, failed), result.String())
		expectCounted(r, result)
		what := ContainSubstring("node " + victim + " was not Ready for ")
		Expect(texts(r.report())).To(ContainElement(what))
		Expect(result.Stdout).To(what)
		if r.report().Summarize().Missing > 0 {
			Expect(r.report().Interrupted).To(ContainSubstring("node " + victim + " of cluster " + c.Name + " has not been Ready since "))
		}
		r.expectNothingLeft()
	}, NodeTimeout(startTimeout+lostTimeout))

	It("goes through a restart of the API server, and says when", harness.Long, func(ctx SpecContext) {
		e := engine(ctx)
		r := start(ctx)
		r.awaitSpecs(ctx)
		DeferCleanup(ready, e)
		c.MustExec(ctx, c.Name+"-control-plane-1", "pkill", "-KILL", "kube-apiserver")
		result := r.wait()
		expectCounted(r, result)
		Expect(texts(r.report())).To(ContainElement(ContainSubstring("the API server was not ready for ")))
		r.expectNothingLeft()
	}, NodeTimeout(backTimeout))

	It("ends when the API server does not come back", harness.Long, func(ctx SpecContext) {
		e, controlPlane := engine(ctx), c.Name+"-control-plane-1"
		r := start(ctx, "--focus", many)
		r.awaitBegin(ctx)
		DeferCleanup(ready, e)
		Expect(e.Kill(ctx, controlPlane)).To(Succeed())
		DeferCleanup(e.Start, controlPlane)
		result := r.wait()
		Expect(result.Code).To(BeElementOf(incomplete, failed), result.String())
		expectCounted(r, result)
		Expect(r.report().Summarize().Missing).To(BeNumerically(">", 0))
		Expect(result.Stderr).To(ContainSubstring("the API of cluster " + c.Name + " has not answered since "))
		Expect(r.report().Interrupted).To(ContainSubstring("has not answered since "))
		Expect(texts(r.report())).To(ContainElement(ContainSubstring("the API server was not ready for ")))
		r.expectNothingLeft()
	}, NodeTimeout(startTimeout+lostTimeout))
})
