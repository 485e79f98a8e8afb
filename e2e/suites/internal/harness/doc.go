// Package harness is what kluster's own ginkgo suites share: it runs the real
// kluster binary, talks to the clusters it makes with client-go, and looks at
// and breaks their containers through the engine.
//
// The suites are black boxes: everything a spec claims is seen through the
// command line, the Kubernetes API or the engine. Every name a suite makes
// starts with "it-", ends with random digits, and is removed by the suite that
// made it; nothing else is touched.
//
// Environment:
//
//	KLUSTER_INTEGRATION=1  run the suites; without it they skip
//	KLUSTER_BIN            the binary; default bin/kluster of this module
//	KLUSTER_TEST_RUN       hex digits that tell this run's clusters from those of
//	                       another run on the same engine
//	KLUSTER_KEEP=1         leave the clusters for a look
//	KLUSTER_EVIDENCE       folder for what is gathered when a spec fails;
//	                       default a new one in the temporary folder
//
// Specs labelled Short are what a change must pass; Long are the rest.
package harness

import "github.com/onsi/ginkgo/v2"

// Labels of specs: -ginkgo.label-filter=short picks the quick ones.
var (
	Short = ginkgo.Label("short")
	Long  = ginkgo.Label("long")
)
