// Package kubernetes runs Kubernetes' own e2e specs, as upstream's e2e.test
// does, for a runner that wants to know what happens while it happens.
package kubernetes

import (
	"flag"
	"fmt"
	"os"
	"testing"

	conformance "k8s.io/kubernetes/test/conformance/testdata"
	"k8s.io/kubernetes/test/e2e"
	"k8s.io/kubernetes/test/e2e/framework"
	"k8s.io/kubernetes/test/e2e/framework/config"
	"k8s.io/kubernetes/test/e2e/framework/testfiles"
	manifests "k8s.io/kubernetes/test/e2e/testing-manifests"
	"k8s.io/kubernetes/test/fixtures"
)

// What only some versions of Kubernetes have, files of their own add.
var (
	moreFlags   []func(*flag.FlagSet)
	beforeSpecs []func() error
)

// TestMain does, in this order, what the framework asks of a main: flags, files,
// checks of what the flags say.
func TestMain(m *testing.M) {
	config.CopyFlags(config.Flags, flag.CommandLine)
	framework.RegisterCommonFlags(flag.CommandLine)
	framework.RegisterClusterFlags(flag.CommandLine)
	for _, register := range moreFlags {
		register(flag.CommandLine)
	}
	flag.Parse()
	if flag.NArg() > 0 {
		fatal(fmt.Errorf("unknown arguments: %q", flag.Args()))
	}

	testfiles.AddFileSource(manifests.GetE2ETestingManifestsFS())
	testfiles.AddFileSource(fixtures.GetTestFixturesFS())
	testfiles.AddFileSource(conformance.GetConformanceTestdataFS())
	if root := framework.TestContext.RepoRoot; root != "" {
		testfiles.AddFileSource(testfiles.RootFileSource{Root: root})
	}

	runID = string(framework.RunID)
	// Before the framework's turn: it builds the tree of specs.
	for _, prepare := range beforeSpecs {
		if err := prepare(); err != nil {
			fatal(err)
		}
	}
	framework.AfterReadingAllFlags(&framework.TestContext)
	tell()
	os.Exit(m.Run())
}

// fatal ends the suite before it has begun.
func fatal(err error) {
	fmt.Fprintln(os.Stderr, "kluster-e2e.test:", err)
	os.Exit(1)
}

// TestE2E runs the specs.
func TestE2E(t *testing.T) { e2e.RunE2ETests(t) }
