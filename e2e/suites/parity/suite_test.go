// Package parity_test holds what kluster makes against what kubeadm makes: one
// cluster by "kubeadm init" and "kubeadm join" in bare nodes and one by "kluster
// create", of the same configuration, compared file by file and object by
// object. Then kubeadm goes on to work on kluster's.
package parity_test

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
	"github.com/kluster-project/kluster/provider/docker"
)

func TestParity(t *testing.T) { harness.RunSuite(t, "kluster: the same as kubeadm") }

var c = harness.Shared("parity", "--control-planes", "3", "--workers", "1")

var engine = harness.SpecEngine

// machines makes bare nodes for the length of the suite.
func machines(ctx SpecContext) *docker.Provider {
	GinkgoHelper()
	p, err := docker.New(ctx)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(p.Close)
	return p
}
