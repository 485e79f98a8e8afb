// Package lifecycle_test makes and removes clusters in all the ways that can go
// wrong, and looks at what is left.
package lifecycle_test

import (
	"context"
	"os"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

func TestLifecycle(t *testing.T) { harness.RunSuite(t, "kluster: create and delete") }

func init() { harness.GatherOnFailure() }

var engine = harness.SpecEngine

// named is a fresh cluster name whose cluster is deleted, however much there is
// of it, when the spec ends.
func named(k *harness.Kluster, kind string) string {
	name := harness.Name(kind)
	DeferCleanup(k.Delete, name)
	return name
}

// expectNothingLeft checks that neither the engine nor the kubeconfig file
// knows the cluster.
func expectNothingLeft(ctx SpecContext, k *harness.Kluster, name string) {
	GinkgoHelper()
	left, err := engine(ctx).Leftovers(ctx, name)
	Expect(err).NotTo(HaveOccurred())
	Expect(left).To(BeEmpty(), "in the engine")
	Expect(contexts(k)).NotTo(ContainElement("kluster-"+name), "in the kubeconfig")
}

// contexts are the names of the contexts, clusters and users of a kubeconfig
// file, which need not exist.
func contexts(k *harness.Kluster) []string {
	GinkgoHelper()
	cfg, err := clientcmd.LoadFromFile(k.Kubeconfig)
	if os.IsNotExist(err) {
		return nil
	}
	Expect(err).NotTo(HaveOccurred())
	var names []string
	for name := range cfg.Contexts {
		names = append(names, name)
	}
	for name := range cfg.Clusters {
		names = append(names, name)
	}
	for name := range cfg.AuthInfos {
		names = append(names, name)
	}
	return names
}

// awaitMachines waits until the engine runs at least n containers of a cluster.
func awaitMachines(ctx SpecContext, name string, n int) {
	GinkgoHelper()
	e := engine(ctx)
	Eventually(ctx, func(ctx context.Context) (int, error) {
		list, err := e.Containers(ctx, name)
		running := 0
		for _, found := range list {
			if found.Running {
				running++
			}
		}
		return running, err
	}).WithTimeout(3 * time.Minute).WithPolling(50 * time.Millisecond).Should(BeNumerically(">=", n))
}
