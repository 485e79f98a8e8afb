// Package runs_test holds "kluster e2e run" to what it promises when something
// breaks on the way: a node, the API server, the run itself.
package runs_test

import (
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

func TestRuns(t *testing.T) { harness.RunSuite(t, "kluster: runs of e2e suites") }

func init() { harness.GatherOnFailure() }

var engine = harness.SpecEngine

// c is the suite's cluster: one control plane that takes no pods and two workers,
// the least that conformance runs on. Its node image holds the specs' images.
var c *harness.Cluster

// buildTimeout bounds the building of that image, and of the programs with the
// specs, which a machine does once.
const buildTimeout = time.Hour

var _ = BeforeSuite(func(ctx SpecContext) {
	k := harness.SuiteKluster()
	image := strings.TrimSpace(k.Must(ctx, "build", "node-image", "--conformance").Stdout)
	name := harness.Name("runs")
	DeferCleanup(k.Delete, name, NodeTimeout(2*time.Minute))
	c = k.Create(ctx, name, "--control-planes", "1", "--workers", "2", "--image", image)
	// The programs with the specs are made before specs are timed.
	Expect(c.Run(ctx, "e2e", "run", "--cluster", name, "--suite", "conformance", "--dry-run", "--focus", quick).Lines()).
		To(HaveLen(quickSpecs))
}, NodeTimeout(buildTimeout))
