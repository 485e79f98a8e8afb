// Package chaos_test breaks a cluster of three control planes, one row of a table at a
// time, while clients read and write by every way there is. What they record must be
// what a register can do; how long things took is for the report (docs/chaos.md).
// A second cluster stands beside it all the time, and must not feel anything.
//
// Environment, besides that of package harness:
//
//	KLUSTER_CHAOS_STEADY   how long clients run before and after each fault; 30s by default
//	KLUSTER_CHAOS_RUNTIME  the container runtime of the nodes
//	KLUSTER_CHAOS_STRICT   1: what took too long fails its row, too
package chaos_test

import (
	"cmp"
	"fmt"
	"os"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
	"github.com/kluster-project/kluster/internal/cri"
)

func TestChaos(t *testing.T) {
	harness.RunSuite(t, "kluster: chaos")
	fmt.Print(ran.Unmet()) // the last that a person sees
}

// nodes are control planes, all of them.
const nodes = 3

var runtime = cmp.Or(os.Getenv("KLUSTER_CHAOS_RUNTIME"), cri.Default)

// recovery bounds the time until the cluster is whole again, generously: what was
// measured is in the report.
const recovery = 4 * time.Minute

// deleteLimit bounds the delete of a cluster.
const deleteLimit = 2 * time.Minute

// strict says whether budgets of time fail a row.
var strict = os.Getenv("KLUSTER_CHAOS_STRICT") == "1"

// steady is how long clients run before and after a fault.
func steady() time.Duration {
	if d, err := time.ParseDuration(os.Getenv("KLUSTER_CHAOS_STEADY")); err == nil {
		return d
	}
	return 30 * time.Second
}

func controlPlane(i int) string { return fmt.Sprintf("%s-control-plane-%d", c.Name, i) }

func controlPlanes() []string {
	var names []string
	for i := range nodes {
		names = append(names, controlPlane(i+1))
	}
	return names
}

func loadBalancer() string { return c.Name + "-lb" }

var _ = Describe("A cluster under faults", Serial, harness.Long, func() {
	harness.GatherOnFailure()
	for _, r := range rows {
		It(r.name, func(ctx SpecContext) { r.run(ctx) }, NodeTimeout(rowLimit))
	}
})

// rowLimit bounds a row with everything around it.
const rowLimit = 10 * time.Minute
