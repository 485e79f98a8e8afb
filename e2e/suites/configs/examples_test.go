package configs_test

import (
	"maps"
	"slices"

	. "github.com/onsi/ginkgo/v2"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

const examplesDir = "../../../configs/examples"

// entries are the table entries of rows, by file name.
func entries(rows map[string]row) []TableEntry {
	var out []TableEntry
	for _, file := range slices.Sorted(maps.Keys(rows)) {
		out = append(out, Entry(file, limit, file))
	}
	return out
}

var _ = DescribeTable("A cluster of an example is what the file asks for:", harness.Long,
	func(ctx SpecContext, file string) { exampleRows[file].expect(ctx, examplesDir, file) }, entries(exampleRows))

var exampleRows = map[string]row{
	"dual-stack.yaml": {nodes: pairNodes, needs: []need{ipv6}, checks: []check{
		addressed(v4, v6), proxyMode("nftables"), carries(v4, v6),
		podSubnets("10.128.0.0/16", "fd00:10:128::/56"), serviceSubnets("10.129.0.0/16", "fd00:10:129::/112"),
	}},
	"ha.yaml": {nodes: []string{"control-plane-1", "control-plane-2", "control-plane-3", "worker-1", "worker-2"}, checks: []check{
		etcdVoters(3), taints("control-plane-1", controlPlaneTaint), taints("control-plane-3", controlPlaneTaint),
		label("control-plane-3", excludeLabel, ""), taints("worker-2"), carries(v4),
	}},
	"workers.yaml": {
		nodes: []string{"control-plane-1", "worker-1", "worker-2", "worker-3"},
		needs: []need{freePort("tcp", "127.0.0.1:8080"), freePort("tcp", "127.0.0.1:8443")},
		checks: []check{
			label("worker-1", "example.com/ingress", "true"),
			publishes("worker-1", "80/tcp", "127.0.0.1", "8080"), publishes("worker-1", "443/tcp", "127.0.0.1", "8443"),
			seesNew("worker-1", "/host/tmp", "/tmp"), readOnly("worker-1", "/host/tmp"),
			label("worker-2", "example.com/size", "small"), taints("worker-2", "example.com/size=small:NoSchedule"),
			label("worker-3", "example.com/size", "small"), taints("worker-3", "example.com/size=small:NoSchedule"),
			limited("worker-2", "1.5", "2Gi"), limited("worker-3", "1.5", "2Gi"), env("worker-2", "EXAMPLE", "1"),
			flag(apiserver, "feature-gates", "ContextualLogging=true"), flag(apiserver, "runtime-config", "api/alpha=false"),
			flag(apiserver, "v", "3"), maxPods("control-plane-1", 60), maxPods("worker-2", 60),
			kubelet("worker-2", true, "featureGates", "ContextualLogging"),
			containerd("worker-1", 5, "plugins", criImages, "max_concurrent_downloads"),
		},
	},
}
