package configs_test

import (
	. "github.com/onsi/ginkgo/v2"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

// pair is a control plane and a worker.
const pair = "nodes: [{role: control-plane}, {role: worker}]\n"

// asks is a file's text and what it asks for.
type asks struct {
	text string
	row
}

// Names of nodes, less the cluster's.
var (
	single    = []string{"control-plane-1"}
	pairNodes = []string{"control-plane-1", "worker-1"}
)

var _ = DescribeTable("A control plane and a worker", harness.Long,
	func(ctx SpecContext, a asks) {
		a.skipUnfit(ctx, harness.New())
		a.check(ctx, createText(ctx, pair+a.text))
	},
	Entry("of both families", limit, asks{"networking: {ipFamily: dual}\n", row{
		nodes: pairNodes, needs: []need{ipv6}, checks: []check{addressed(v4, v6), carries(v4, v6)},
	}}),
	Entry("of IPv6 alone", limit, asks{"networking: {ipFamily: ipv6}\n", row{
		nodes: pairNodes, needs: []need{ipv6}, checks: []check{addressed(v6), carries(v6)},
	}}),
	Entry("with kube-proxy on nftables", limit, asks{"networking: {kubeProxyMode: nftables}\n", row{
		nodes: pairNodes, checks: []check{proxyMode("nftables"), carries(v4)},
	}}),
	Entry("without kube-proxy", limit, asks{"networking: {kubeProxyMode: none}\n", row{
		nodes: pairNodes, unproxied: true, checks: []check{noProxy, said},
	}}),
	Entry("without a pod network", limit, asks{"networking: {cni: none}\n", row{
		nodes: pairNodes, unready: true, checks: []check{proxyMode("iptables"), said},
	}}),
)

var _ = Describe("A node with limits", harness.Short, func() {
	It("hands out as much as its limits allow", limit, func(ctx SpecContext) {
		c := createText(ctx, "nodes: [{role: control-plane}, {role: worker, cpus: \"1\", memory: 2Gi}]\n")
		row{nodes: pairNodes, checks: []check{limited("worker-1", "1", "2Gi")}}.check(ctx, c)
	})
})
