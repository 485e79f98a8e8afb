// Package configs_test makes clusters from configuration files, kluster's and
// kind's, one at a time, and looks in each for what its file asks for.
package configs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

func TestConfigs(t *testing.T) { harness.RunSuite(t, "kluster: clusters from files") }

func init() { harness.GatherOnFailure() }

var engine = harness.SpecEngine

// limit bounds a spec: a create, its checks and the clean-up.
var limit = NodeTimeout(harness.CreateTimeout + 5*time.Minute)

// header starts a file of kluster's own.
const header = "apiVersion: kluster.dev/v1alpha1\nkind: Cluster\n"

// made is a cluster made from a file.
type made struct {
	*harness.Cluster
	// Notes are what create says of the cluster besides that it is ready.
	Notes []string
	// Talk is what create printed to stderr.
	Talk string
}

// node is the full name of "worker-1".
func (c *made) node(short string) string { return c.Name + "-" + short }

// create makes a cluster from a file, with dir as the working folder, where
// relative host paths of a kind file start. It goes when the spec ends.
func create(ctx SpecContext, k *harness.Kluster, dir, file string) *made {
	GinkgoHelper()
	name := harness.Name("config")
	DeferCleanup(k.Delete, name)
	GinkgoT().Chdir(dir)
	r := k.Must(ctx, "create", "--name", name, "-o", "json", "--config", file)
	AddReportEntry("kluster create --config "+filepath.Base(file), r.Took.Round(100*time.Millisecond).String())
	c, err := harness.Connect(k, name)
	Expect(err).NotTo(HaveOccurred())
	r.Decode(&c.Summary)
	m := &made{Cluster: c, Talk: r.Stderr}
	r.Decode(&struct{ Notes *[]string }{&m.Notes})
	return m
}

// createText is create of a file of kluster's own with this text.
func createText(ctx SpecContext, text string) *made {
	GinkgoHelper()
	dir := GinkgoT().TempDir()
	Expect(os.WriteFile(filepath.Join(dir, "cluster.yaml"), []byte(header+text), 0o600)).To(Succeed())
	return create(ctx, harness.New(), dir, "cluster.yaml")
}

// row is what a file asks for.
type row struct {
	// nodes are all of the cluster's, as "worker-1".
	nodes []string
	// needs are what of the host the file needs; each gives the reason why it
	// cannot have that here, or "".
	needs []need
	// unready says that the nodes have no pod network, and wait for one.
	unready bool
	// unproxied says that there is no kube-proxy, so that create does not wait
	// for the nodes to be Ready, which they get to be.
	unproxied bool
	checks    []check
}

// check is one thing a file asks for, and how to see that it is so.
type check struct {
	about string
	run   func(ctx SpecContext, c *made)
}

// expect makes the cluster of a file and runs the checks of its row.
func (r row) expect(ctx SpecContext, dir, file string) {
	GinkgoHelper()
	k := harness.New()
	r.skipUnfit(ctx, k)
	r.check(ctx, create(ctx, k, dir, file))
}

// skipUnfit skips the spec, saying why, where the host lacks what is needed.
func (r row) skipUnfit(ctx SpecContext, k *harness.Kluster) {
	GinkgoHelper()
	for _, need := range r.needs {
		if why := need(ctx, k); why != "" {
			fmt.Fprintf(os.Stderr, "\nskipped: %s: %s\n", CurrentSpecReport().LeafNodeText, why)
			Skip(why)
		}
	}
}

// check looks at a cluster that create has just made.
func (r row) check(ctx SpecContext, c *made) {
	GinkgoHelper()
	By(fmt.Sprintf("nodes %v", r.nodes))
	var names []string
	for _, n := range c.Nodes(ctx) {
		names = append(names, strings.TrimPrefix(n.Name, c.Name+"-"))
	}
	Expect(names).To(ConsistOf(r.nodes))
	switch {
	case r.unready:
		waitsForNetwork(ctx, c)
	case r.unproxied:
		Eventually(ctx, c.NotReady).WithTimeout(settle).Should(BeEmpty())
	default:
		Expect(c.NotReady(ctx)).To(BeEmpty())
	}
	for _, check := range r.checks {
		By(check.about)
		check.run(ctx, c)
	}
}
