// Package ha_test breaks a cluster of three control planes, one thing at a
// time, while a client writes through the load balancer.
package ha_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

func TestHA(t *testing.T) { harness.RunSuite(t, "kluster: high availability") }

const nodes = 3

var c = harness.Shared("ha", "--nodes", "3")

// Bounds, generous ones; what was measured is in the report.
const (
	// outage bounds the time without an acknowledged write after a failure.
	outage = 30 * time.Second
	// recovery bounds the time until a node that was started is whole again.
	recovery = 3 * time.Minute
)

func controlPlane(i int) string { return fmt.Sprintf("%s-control-plane-%d", c.Name, i) }

func loadBalancer() string { return c.Name + "-lb" }

var engine = harness.SpecEngine

// awaitWhole waits until the cluster is as it was made: every node has said,
// since its last start, that it is Ready, and every etcd member votes and
// answers.
func awaitWhole(ctx SpecContext, e *harness.Engine) {
	GinkgoHelper()
	c.AwaitNodes(ctx, e, recovery)
	for i := range nodes {
		Eventually(ctx, func(ctx context.Context) (int, error) { return c.EtcdVoters(ctx, controlPlane(i+1)) }).
			WithTimeout(recovery).Should(Equal(nodes), "etcd voters seen from %s", controlPlane(i+1))
	}
}

// verifyNoOutage checks that no acknowledged write is lost, and that none took long.
func verifyNoOutage(ctx context.Context, w *harness.Counter) {
	GinkgoHelper()
	Expect(w.Verify(ctx, "around the failure").Gap).To(BeNumerically("<", outage))
}

// report prints a measurement and keeps it in the report.
func report(what string, d time.Duration) {
	AddReportEntry(what, d.Round(10*time.Millisecond).String())
	fmt.Fprintf(GinkgoWriter, "%s: %s\n", what, d.Round(10*time.Millisecond))
}
