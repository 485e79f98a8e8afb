package chaos_test

import (
	"context"
	"fmt"

	. "github.com/onsi/ginkgo/v2"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

// c is the cluster of the row that runs, or of the one before; without a name if there is none.
var c = &harness.Cluster{}

// kluster makes the suite's clusters.
var kluster *harness.Kluster

var _ = BeforeSuite(func(ctx SpecContext) {
	kluster = harness.SuiteKluster()
	neighbour = kluster.Create(ctx, harness.Name("chaos-neighbour"), "--nodes", "1")
	DeferCleanup(func(ctx SpecContext) { neighbour.Delete(ctx) }, NodeTimeout(deleteLimit))
	DeferCleanup(remove, NodeTimeout(deleteLimit))
}, NodeTimeout(harness.CreateTimeout))

// claim sees that there is a cluster for a row: the one of the rows before, or a new one if
// the row asks for that. What a row has broken, or had for itself, no other gets.
func (r row) claim(ctx SpecContext) {
	GinkgoHelper()
	if r.fresh {
		remove(ctx)
	}
	if c.Name == "" {
		*c = *kluster.Create(ctx, harness.Name("chaos"), "--nodes", fmt.Sprint(nodes), "--runtime", runtime)
	}
	DeferCleanup(func(ctx SpecContext) {
		if r.fresh || CurrentSpecReport().Failed() {
			remove(ctx)
		}
	}, NodeTimeout(deleteLimit))
}

// remove deletes the cluster of the rows, if there is one.
func remove(ctx context.Context) {
	GinkgoHelper()
	if c.Name == "" {
		return
	}
	c.Delete(ctx)
	*c = harness.Cluster{}
}
