// Package lifecycle_test makes and removes clusters in all the ways that can go
// wrong, and looks at what is left.
package lifecycle_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

// alone is a kluster whose files and processes can be told from all others.
func alone(name string) *harness.Kluster {
	GinkgoHelper()
	k := harness.New()
	k.Kubeconfig = filepath.Join(GinkgoT().TempDir(), "kubeconfig")
	k.Env = []string{"TMPDIR=" + GinkgoT().TempDir(), markVariable + "=" + name}
	return k
}

// markVariable holds the name of what a process works for, and its children too.
const markVariable = "KLUSTER_TEST_MARK"

// expectNoTrace is expectNothingLeft of a kluster that is alone: there are also no files
// but the kubeconfig, and no processes.
func expectNoTrace(ctx SpecContext, k *harness.Kluster, name string) {
	GinkgoHelper()
	expectNothingLeft(ctx, k, name)
	temp, _ := strings.CutPrefix(k.Env[0], "TMPDIR=")
	Expect(files(temp)).To(BeEmpty(), "temporary files")
	Expect(files(filepath.Dir(k.Kubeconfig))).To(Or(BeEmpty(), HaveEach("kubeconfig")), "files beside the kubeconfig")
	Expect(processes(markVariable+"="+name)).To(BeEmpty(), "processes")
}

// files are the names in a folder.
func files(dir string) []string {
	GinkgoHelper()
	entries, err := os.ReadDir(dir)
	Expect(err).NotTo(HaveOccurred())
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// processes are the command lines of those with a variable in their environment.
func processes(variable string) []string {
	GinkgoHelper()
	environments, err := filepath.Glob("/proc/[0-9]*/environ")
	Expect(err).NotTo(HaveOccurred())
	var found []string
	for _, path := range environments {
		text, err := os.ReadFile(path) // of a process that has ended there is none
		if err == nil && slices.Contains(strings.Split(string(text), "\x00"), variable) {
			line, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
			found = append(found, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
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
