package cluster_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

var _ = Describe("kluster load", harness.Short, func() {
	It("puts an archive's image on every node", func(ctx SpecContext) {
		const ref = "kluster.test/it-hello:v1"
		archive, err := harness.ProgramImage(ctx, GinkgoT().TempDir(), ref, "package main\n\nfunc main() { print(\"hello\") }\n")
		Expect(err).NotTo(HaveOccurred())
		c.Must(ctx, "load", "--cluster", c.Name, "--archive", archive)
		ns := c.Namespace(ctx)
		for i, n := range c.Nodes(ctx) {
			pod := harness.Pod("hello-"+string(rune('a'+i)), n.Name, harness.Command(ref))
			Expect(c.FinishPod(ctx, ns, pod)).To(Equal("hello"), n.Name)
		}
	})

	It("sends a second time nothing, and a new version under the same name", func(ctx SpecContext) {
		const ref = "kluster.test/it-again:v1"
		for _, says := range []string{"one", "two"} {
			archive, err := harness.ProgramImage(ctx, GinkgoT().TempDir(), ref, "package main\n\nfunc main() { print(\""+says+"\") }\n")
			Expect(err).NotTo(HaveOccurred())
			c.Must(ctx, "load", "--cluster", c.Name, "--archive", archive, "--verify")
			again := c.Must(ctx, "load", "--cluster", c.Name, "--archive", archive, "--verify")
			ns := c.Namespace(ctx)
			for i, n := range c.Nodes(ctx) {
				Expect(again.Stderr).To(MatchRegexp("loading into " + n.Name + ".*has it already"))
				pod := harness.Pod("again-"+string(rune('a'+i)), n.Name, harness.Command(ref))
				Expect(c.FinishPod(ctx, ns, pod)).To(Equal(says), n.Name)
			}
		}
	})

	It("refuses images that the engine does not hold", func(ctx SpecContext) {
		r := c.Run(ctx, "load", "--cluster", c.Name, "kluster.test/it-none:v1")
		Expect(r.Code).To(Equal(2), r.String())
		Expect(r.Stderr).To(ContainSubstring(`the engine holds no image "kluster.test/it-none:v1"`))
	})

	It("says which file is not an image archive", func(ctx SpecContext) {
		r := c.Run(ctx, "load", "--cluster", c.Name, "--archive", c.Bin)
		Expect(r.Code).To(BeElementOf(1, 2), r.String())
		Expect(r.Stderr).To(ContainSubstring(c.Bin))
	})
})
