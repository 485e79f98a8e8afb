// Package cluster_test looks at one three-node cluster as its user would: what
// kluster says of it, what runs on it, and whether kubeadm still owns it.
package cluster_test

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

func TestCluster(t *testing.T) { harness.RunSuite(t, "kluster: one cluster") }

// nodes is how many nodes the suite's cluster has, all of them control planes.
const nodes = 3

var c = harness.Shared("cluster", "--nodes", "3")

// engine is a connection for the length of a spec.
func engine(ctx SpecContext) *harness.Engine {
	GinkgoHelper()
	e, err := harness.NewEngine(ctx)
	if err != nil {
		Fail(err.Error())
	}
	DeferCleanup(e.API.Close)
	return e
}
