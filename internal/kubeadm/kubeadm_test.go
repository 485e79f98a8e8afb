package kubeadm

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/golden"
	"github.com/kluster-project/kluster/internal/nodespec"
)

var controlPlaneTaint = []config.Taint{{Key: "node-role.kubernetes.io/control-plane", Effect: "NoSchedule"}}

// input is a cluster of so many control planes and workers on IPv4.
func input(version string, controls, workers int) Input {
	c := &config.Cluster{
		Name: "demo", KubernetesVersion: version, Runtime: "containerd",
		Networking: config.Networking{
			PodSubnets:     []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16")},
			ServiceSubnets: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/16")},
			IPFamily:       "ipv4", KubeProxyMode: "iptables", CNI: "default",
		},
	}
	in := Input{
		Cluster: c, Addrs: map[string][]netip.Addr{}, APIHost: "demo-api",
		SANs:     []string{"demo-load-balancer", "172.28.0.2", "127.0.0.1"},
		Runtimes: map[string]Runtime{}, CgroupVersion: 2,
		HostCPUs: 8, HostMemory: 32 << 30, CA: []byte("CA\n"), EtcdToken: "token",
	}
	for i := range controls + workers {
		n := config.Node{Name: fmt.Sprintf("demo-control-plane-%d", i+1), Role: nodespec.RoleControlPlane}
		if i >= controls {
			n = config.Node{Name: fmt.Sprintf("demo-worker-%d", i-controls+1), Role: nodespec.RoleWorker}
		} else if workers > 0 {
			n.Taints = controlPlaneTaint
		}
		c.Nodes = append(c.Nodes, n)
		in.Runtimes[n.Name] = Runtime{Socket: "unix:///run/containerd/containerd.sock"}
		in.Addrs[n.Name] = []netip.Addr{netip.AddrFrom4([4]byte{172, 28, 0, byte(3 + i)})}
	}
	return in
}

func TestRenderGolden(t *testing.T) {
	tests := []struct {
		name string
		in   Input
		with func(*Input)
	}{
		{name: "single", in: input("v1.36.3", 1, 0)},
		{name: "ha-v1.36", in: input("v1.36.3", 3, 1)},
		{name: "ha-v1.33-cgroup1", in: input("v1.33.13", 3, 1), with: func(in *Input) { in.CgroupVersion = 1 }},
		{name: "v1.34", in: input("v1.34.4", 1, 1)},
		{name: "v1.35", in: input("v1.35.4", 1, 1)},
		{name: "dual-stack", in: input("v1.36.3", 3, 1), with: dualStack},
		{name: "ephemeral", in: input("v1.36.3", 1, 1), with: ephemeral},
		{name: "hardened", in: input("v1.36.3", 3, 1), with: hardened},
		{name: "hardened-v1.33", in: input("v1.33.13", 1, 0), with: hardened},
		{name: "runtimes", in: input("v1.36.3", 3, 1), with: runtimes},
		{name: "everything", in: input("v1.36.3", 3, 1), with: everything},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.with != nil {
				tt.with(&tt.in)
			}
			nodes, err := Render(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			golden.Check(t, filepath.Join("testdata", tt.name+".golden"), print(tt.in, nodes))
		})
	}
}

func dualStack(in *Input) {
	net := &in.Cluster.Networking
	net.IPFamily, net.KubeProxyMode = "dual", "nftables"
	net.PodSubnets = append(net.PodSubnets, netip.MustParsePrefix("fd00:10:244::/56"))
	net.ServiceSubnets = append(net.ServiceSubnets, netip.MustParsePrefix("fd00:10:96::/112"))
	for i, n := range in.Cluster.Nodes {
		in.Addrs[n.Name] = append(in.Addrs[n.Name], netip.MustParseAddr(fmt.Sprintf("fd00:1::%d", 3+i)))
	}
}

// everything sets what a cluster can ask for at once.
func everything(in *Input) {
	c := in.Cluster
	in.Rootless = true
	c.FeatureGates = map[string]bool{"B": false, "A": true}
	c.RuntimeConfig = map[string]string{"api/beta": "true", "api/alpha": "false"}
	c.Patches.Kubeadm = []string{`
kind: ClusterConfiguration
apiServer:
  certSANs: [api.example.com]
  extraArgs: [{name: audit-log-path, value: /var/log/audit.log}]
etcd: {local: {extraArgs: [{name: quota-backend-bytes, value: "1"}]}}
---
kind: InitConfiguration
nodeRegistration: {kubeletExtraArgs: [{name: v, value: "4"}]}
---
kind: JoinConfiguration
nodeRegistration: {kubeletExtraArgs: {v: "5", node-labels: "x=y,node-role.kubernetes.io/z="}}
---
kind: KubeletConfiguration
maxPods: 50
---
kind: KubeProxyConfiguration
conntrack: {maxPerCore: 1}
`}
	worker := &c.Nodes[3]
	worker.Labels = map[string]string{"zone": "a", "node-role.kubernetes.io/worker": "", "topology.kubernetes.io/zone": "b"}
	worker.Taints = []config.Taint{{Key: "dedicated", Value: "db", Effect: "NoExecute"}, {Key: "slow", Effect: "NoSchedule"}}
	worker.CPUs, worker.Memory = 1.1, 2<<30
	worker.Patches.Kubeadm = []string{"kind: KubeletConfiguration\nmaxPods: 20\n"}
	c.Nodes[0].Patches.KubeadmJSON6902 = []config.JSON6902{{
		Group: "kubeadm.k8s.io", Version: "v1beta3", Kind: "ClusterConfiguration",
		Patch: "- {op: add, path: /scheduler/extraArgs/v, value: \"2\"}",
	}}
}

// print writes nodes for people to compare, all but the third control plane,
// which would repeat the second.
func print(in Input, nodes map[string]Node) string {
	var b strings.Builder
	for _, n := range in.Cluster.Nodes {
		if n.Name == "demo-control-plane-3" {
			continue
		}
		node := nodes[n.Name]
		fmt.Fprintf(&b, "##### %s\n", n.Name)
		for _, c := range node.Commands {
			fmt.Fprintf(&b, "$ %s\n", strings.Join(c, " "))
		}
		fmt.Fprintf(&b, "labels: %v annotations: %v\n", node.Labels, node.Annotations)
		for _, f := range node.Files {
			fmt.Fprintf(&b, "=== %s %o\n%s", f.Path, f.Mode, f.Data)
		}
	}
	return b.String()
}

func file(t *testing.T, n Node, path string) string {
	t.Helper()
	i := slices.IndexFunc(n.Files, func(f nodespec.File) bool { return f.Path == path })
	if i < 0 {
		t.Fatalf("no file %s", path)
	}
	return string(n.Files[i].Data)
}

// runtimes gives two nodes other runtimes than the rest has, one of a control plane
// and one of a worker.
func runtimes(in *Input) {
	in.Runtimes["demo-control-plane-1"] = Runtime{
		Socket: "unix:///run/cri-dockerd.sock", DropIn: dropIn(),
	}
	in.Runtimes["demo-worker-1"] = Runtime{Socket: "unix:///var/run/crio/crio.sock"}
}

// dropIn is what cri-dockerd gives the kubelet beside it.
func dropIn() []byte {
	return []byte("apiVersion: kubelet.config.k8s.io/v1beta1\nfeatureGates:\n  ExtendWebSocketsToKubelet: false\nkind: KubeletConfiguration\n")
}
