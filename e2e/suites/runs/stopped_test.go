package runs_test

import (
	"path/filepath"
	"slices"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

// graceTimeout bounds the end of a suite that was told to end: its specs have three
// minutes to clean up.
const graceTimeout = 4 * time.Minute

// resume takes a run up again, and checks that it ran what had not passed and
// nothing else.
func (r *run) resume(ctx SpecContext) {
	GinkgoHelper()
	_, passed := r.journal()
	Expect(len(passed)).To(BeNumerically("<", quickSpecs), "specs were left")
	r.begin(ctx, "--resume")
	result := r.wait()
	Expect(result.Code).To(Equal(0), result.String())
	got := r.report()
	Expect(got.Resumed).To(Equal(1))
	for _, s := range got.Specs {
		Expect(s.State).To(Equal(report.Passed), s.Name)
		ends := slices.DeleteFunc(slices.Clone(s.Attempts), func(a report.Attempt) bool { return a.State != "passed" })
		Expect(ends).To(HaveLen(1), s.Name)
		if slices.Contains(passed, s.Name) {
			Expect(s.Attempts).To(HaveLen(1), s.Name)
		}
	}
}

var _ = Describe("A run that is stopped", func() {
	It("leaves no process when it is killed, and can be taken up again", harness.Long, func(ctx SpecContext) {
		r := start(ctx)
		r.awaitSpecs(ctx)
		Expect(r.processes()).NotTo(BeEmpty())
		Expect(r.Signal(syscall.SIGKILL)).To(Succeed())
		Expect(r.wait().Code).To(Equal(-1))
		Eventually(ctx, r.processes).WithTimeout(graceTimeout).Should(BeEmpty())
		r.resume(ctx)
	}, NodeTimeout(startTimeout+graceTimeout+backTimeout))

	It("writes what there is at the first Ctrl-C, and can be taken up again", harness.Short, func(ctx SpecContext) {
		r := start(ctx)
		r.awaitSpecs(ctx)
		Expect(r.Signal(syscall.SIGINT)).To(Succeed())
		result := r.wait()
		Expect(result.Code).To(Equal(interrupted), result.String())
		got := r.report()
		s := got.Summarize()
		Expect(got.Interrupted).To(ContainSubstring("interrupted"))
		Expect(s.Passed).To(BeNumerically(">", 0))
		Expect(s.Missing).To(BeNumerically(">", 0))
		Expect(s.Failed).To(Equal(0), result.String())
		for _, file := range []string{"report.html", "junit.xml", "summary.md", "e2e.log"} {
			Expect(filepath.Join(r.dir, file)).To(BeARegularFile())
		}
		r.expectNothingLeft()
		r.resume(ctx)
		r.expectNothingLeft()
	}, NodeTimeout(startTimeout+graceTimeout+backTimeout))

	It("ends at once at the second Ctrl-C, and names what it leaves", harness.Long, func(ctx SpecContext) {
		name := harness.Name("runs")
		DeferCleanup(c.Kluster.Delete, name)
		r := start(ctx, "--create", "--name", name)
		r.awaitSpecs(ctx)
		Expect(r.Signal(syscall.SIGINT)).To(Succeed())
		// Two signals at once are one.
		Eventually(ctx, r.interrupted).WithTimeout(graceTimeout).WithPolling(20 * time.Millisecond).Should(BeTrue())
		Expect(r.Signal(syscall.SIGINT)).To(Succeed())
		asked := time.Now()
		result := r.wait()
		Expect(result.Code).To(Equal(interrupted), result.String())
		Expect(time.Since(asked)).To(BeNumerically("<", 15*time.Second))
		Expect(r.processes()).To(BeEmpty())
		left, err := engine(ctx).Leftovers(ctx, name)
		Expect(err).NotTo(HaveOccurred())
		if len(left) > 0 {
			Expect(result.Stderr).To(ContainSubstring("kluster delete "+name), "%q are left", left)
		}
		r.expectNothingLeft()
	}, NodeTimeout(startTimeout+backTimeout))
})
