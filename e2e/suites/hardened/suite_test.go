// Package hardened_test looks at a cluster made with --hardened: what it refuses, what
// it hides, and that it is good for what clusters are for all the same.
package hardened_test

import (
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

func TestHardened(t *testing.T) { harness.RunSuite(t, "kluster: a hardened cluster") }

func init() { harness.GatherOnFailure() }

// createLimit bounds a create that first compiles its add-on.
var createLimit = NodeTimeout(harness.CreateTimeout + 30*time.Minute)

// controls is how many control planes the cluster has.
const controls = 3

// made is the cluster of an Ordered container, from its BeforeAll on.
func made(ctx SpecContext) *harness.Cluster {
	GinkgoHelper()
	k := harness.SuiteKluster()
	name := harness.Name("hardened")
	DeferCleanup(k.Delete, name)
	return k.Create(ctx, name, "--nodes", "3", "--hardened", "--addon", "metrics-server")
}
