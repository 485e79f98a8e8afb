// Package specs is a suite of somebody's own.
package specs

import (
	"os"
	"testing"

	"github.com/onsi/ginkgo/v2"
)

func TestSpecs(t *testing.T) { ginkgo.RunSpecs(t, "somebody's own") }

var _ = ginkgo.Describe("handover", func() {
	ginkgo.It("names the cluster", func() {
		if got := os.Getenv("KLUSTER_E2E_CLUSTER"); got != os.Getenv("WANT_CLUSTER") {
			ginkgo.Fail("the cluster is " + got)
		}
		if _, err := os.Stat(os.Getenv("KUBECONFIG")); err != nil {
			ginkgo.Fail(err.Error())
		}
	})
	ginkgo.It("fails", func() { ginkgo.Fail("on purpose") })
})
