package engine_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

// moments are those of a create at which its engine's disk fills, each by what the engine
// then has of the cluster.
var moments = []struct {
	when string
	is   func([]harness.Container) bool
}{
	{"when its name is taken", func(list []harness.Container) bool { return len(list) > 0 }},
	{"when its second node is made", func(list []harness.Container) bool { return len(list) > 2 }},
	{"when all of its machines run", func(list []harness.Container) bool {
		running := 0
		for _, c := range list {
			if c.Running {
				running++
			}
		}
		return running > 3
	}},
}

var _ = Describe("A disk that fills in the middle of a create", Ordered, Serial, harness.Long, func() {
	var (
		room *harness.Room
		k    *harness.Kluster
	)
	BeforeAll(func(ctx SpecContext) {
		room = harness.NewSmallRoom(ctx, 8<<30)
		k = kluster(room)
		k.Must(ctx, "build", "node-image")
	}, NodeTimeout(loadTimeout))

	for _, m := range moments {
		It("ends it, and leaves nothing: "+m.when, func(ctx SpecContext) {
			p, err := k.Start(ctx, nil, "create", "--name", "races", "--nodes", "3")
			Expect(err).NotTo(HaveOccurred())
			Eventually(ctx, func(ctx context.Context) (bool, error) {
				list, err := room.Engine().Containers(ctx, "races")
				return m.is(list), err
			}).WithTimeout(recovery).WithPolling(10 * time.Millisecond).Should(BeTrue())
			room.FillData(0)
			DeferCleanup(room.EmptyData)
			filled := time.Now()
			r := p.Wait()
			GinkgoWriter.Println(r)
			AddReportEntry("from the full disk to the end of create", time.Since(filled).Round(100*time.Millisecond).String())
			Expect(r).To(full(`hint: make room below \S+`), r.String())
			Expect(time.Since(filled)).To(BeNumerically("<", time.Minute), r.String())
			Expect(room.Engine().Leftovers(ctx, "races")).To(BeEmpty(), r.String())
			Expect(k.Kubeconfig).NotTo(BeAnExistingFile())
		}, NodeTimeout(loadTimeout))
	}

	It("does not stand in the way of a create when there is space again", func(ctx SpecContext) {
		k.Must(ctx, "create", "--name", "races", "--nodes", "3")
	}, NodeTimeout(loadTimeout))
})
