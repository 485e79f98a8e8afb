// Package services_test reaches one cluster of a single node from the host: by
// addresses of Services of type LoadBalancer, by ports of the host, and through an
// ingress controller.
package services_test

import (
	"fmt"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
	"github.com/kluster-project/kluster/internal/nodespec"
)

func TestServices(t *testing.T) { harness.RunSuite(t, "kluster: Services, from the host") }

// c has a free port of the host that leads to port 80 of Services.
var c = harness.Shared("services", "--nodes", "1", "--port", "0:80")

// hostPort is that port, with its address.
func hostPort(ctx SpecContext) string {
	GinkgoHelper()
	lb, err := harness.SpecEngine(ctx).Inspect(ctx, c.Name+"-lb")
	Expect(err).NotTo(HaveOccurred())
	inside := fmt.Sprintf("%d/tcp", nodespec.FirstServicePort)
	Expect(lb.Ports).To(HaveKey(inside))
	return lb.Ports[inside]
}
