package runs_test

import (
	"context"
	"os"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

// refusedWithin is how long it may take to find out that nothing can be run.
const refusedWithin = 20 * time.Second

// expectRefused checks that a run ends soon, and started nothing.
func expectRefused(ctx SpecContext, r *run, code int, why string) {
	GinkgoHelper()
	result := r.wait()
	Expect(result.Code).To(Equal(code), result.String())
	Expect(result.Stderr).To(ContainSubstring(why))
	Expect(result.Stderr).To(ContainSubstring("hint: "))
	Expect(result.Took).To(BeNumerically("<", refusedWithin))
	Expect(r.dir).NotTo(BeADirectory(), "a report of nothing")
	r.expectNothingLeft()
}

// cordon marks a node so that no pods come to it, or unmarks it.
func cordon(ctx context.Context, node string, yes bool) {
	GinkgoHelper()
	verb := map[bool]string{true: "cordon", false: "uncordon"}[yes]
	c.Must(ctx, "kubectl", "--cluster", c.Name, "--", verb, node)
}

var _ = Describe("A run that cannot be", harness.Short, func() {
	It("is refused where one node takes pods", func(ctx SpecContext) {
		node := c.Name + "-worker-2"
		DeferCleanup(func(ctx SpecContext) { cordon(ctx, node, false) })
		cordon(ctx, node, true)
		expectRefused(ctx, start(ctx), unfit, "needs 2 nodes that any pod may run on, and the cluster has 1")
	})

	It("is refused where its report cannot be written", func(ctx SpecContext) {
		file := filepath.Join(GinkgoT().TempDir(), "file")
		Expect(os.WriteFile(file, nil, 0o644)).To(Succeed())
		expectRefused(ctx, start(ctx, "--report-dir", filepath.Join(file, "report")), badInput, "folder of the report")
	})

	It("is refused where there is no such cluster", func(ctx SpecContext) {
		expectRefused(ctx, start(ctx, "--cluster", "it-nowhere"), badInput, "it-nowhere")
	})

	It("is refused when the focus fits nothing", func(ctx SpecContext) {
		expectRefused(ctx, start(ctx, "--focus", "no such spec", "--skip", "EmptyDir"), badInput, "no spec")
	})
})
