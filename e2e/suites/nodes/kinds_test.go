package nodes_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

const ipv6 = `apiVersion: kluster.dev/v1alpha1
kind: Cluster
nodes:
- {role: control-plane, taints: []}
networking: {ipFamily: ipv6}
`

// kinds are clusters of one node unlike the usual one.
var kinds = []struct {
	name string
	args []string
	file string // a configuration instead of args
	// runtime is what all nodes have.
	runtime string
}{
	{"of cri-dockerd", []string{"--nodes", "1", "--runtime", "cri-dockerd"}, "", "docker"},
	{"of CRI-O", []string{"--nodes", "1", "--runtime", "cri-o"}, "", "cri-o"},
	{"with IPv6 alone", nil, ipv6, "containerd"},
	{"that is hardened", []string{"--nodes", "1", "--hardened"}, "", "containerd"},
}

// A worker and a control plane come and go in each of them.
var _ = Describe("Adding nodes to a cluster", harness.Long, func() {
	for _, kind := range kinds {
		It(kind.name, func(ctx SpecContext) {
			args := kind.args
			if kind.file != "" {
				args = harness.Config(kind.file)
			}
			e, m := harness.SpecEngine(ctx), create(ctx, args...)
			first, worker, second := m.Name+"-control-plane-1", m.Name+"-worker-1", m.Name+"-control-plane-2"
			before := m.things(ctx, e, first)
			Expect(m.node(ctx, "add")).To(Equal([]string{worker}))
			Expect(m.node(ctx, "add", "--role", "control-plane")).To(Equal([]string{second}))
			Expect(m.runtimes(ctx)).To(Equal(map[string]string{first: kind.runtime, worker: kind.runtime, second: kind.runtime}))
			m.voters(ctx, 2)
			m.told(ctx, e)
			m.usable(ctx, worker, second)
			m.node(ctx, "remove", "control-plane-2", "--force")
			m.node(ctx, "remove", "worker-1", "--force")
			m.voters(ctx, 1)
			Expect(m.things(ctx, e, first)).To(Equal(before))
		}, createLimit)
	}
})
