package configs_test

import (
	. "github.com/onsi/ginkgo/v2"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

// kindDir is the corpus of kind's files. Relative host paths in them start here.
const kindDir = "../../../internal/config/testdata/kind"

var _ = DescribeTable("A cluster of a kind file is what the file asks for:", harness.Long,
	func(ctx SpecContext, file string) { kindRows[file].expect(ctx, kindDir, file) }, entries(kindRows))

// API server, tables of containerd's configuration.
const (
	apiserver  = "kube-apiserver"
	manager    = "kube-controller-manager"
	scheduler  = "kube-scheduler"
	criImages  = "io.containerd.cri.v1.images"
	criRuntime = "io.containerd.cri.v1.runtime"
)

var kindRows = map[string]row{
	"anchors.yaml": {nodes: []string{"control-plane-1", "worker-1", "worker-2", "worker-3"}, checks: []check{
		label("control-plane-1", "team", "a"), noLabel("control-plane-1", "zone"),
		label("worker-1", "team", "a"), label("worker-1", "zone", "1"),
		label("worker-2", "team", "a"), noLabel("worker-2", "zone"),
		label("worker-3", "team", "a"), label("worker-3", "zone", "1"),
		taints("control-plane-1", controlPlaneTaint), label("control-plane-1", excludeLabel, ""),
	}},
	"apiserver.yaml": {nodes: single, checks: []check{
		sees("control-plane-1", "/etc/kubernetes/policies/audit.yaml", "files/audit.yaml"),
		flag(apiserver, "audit-log-path", "/var/log/kubernetes/audit.log"),
		flag(apiserver, "audit-policy-file", "/etc/kubernetes/policies/audit.yaml"),
		flag(apiserver, "v", "4"), flag(apiserver, "profiling", "false"),
		certifies("localhost", "api.example.com", "my-hostname"),
		flag(manager, "leader-elect", "true"), // a null leaves kubeadm's own
		flag(scheduler, "profiling", "false"), noFlag(scheduler, "v"),
		flag("etcd", "data-dir", "/tmp/etcd"), flag("etcd", "unsafe-no-fsync", "true"),
	}},
	"both-versions.yaml": {nodes: single, checks: []check{
		flag(apiserver, "enable-admission-plugins", "NodeRestriction,MutatingAdmissionWebhook"), flag(apiserver, "v", "2"),
		containerd("control-plane-1", 5, "plugins", criImages, "max_concurrent_downloads"),
	}},
	"components.yaml": {nodes: []string{"control-plane-1", "worker-1", "worker-2", "worker-3"}, checks: []check{
		dnsSearch("control-plane-1", "example.com", "corp.example.com"), dnsSearch("worker-3", "example.com", "corp.example.com"),
		podSubnets("10.200.0.0/24"), podRangeBits(26), flag(manager, "node-cidr-mask-size", "26"),
		maxPods("control-plane-1", 20), maxPods("worker-3", 20),
		kubelet("worker-1", "100Mi", "evictionHard", "memory.available"),
		proxy("0.0.0.0:10249", "metricsBindAddress"), proxy(0, "conntrack", "maxPerCore"),
	}},
	"containerd.yaml": {nodes: single, checks: []check{
		containerd("control-plane-1", "registry.k8s.io/pause:3.10.2", "plugins", criImages, "pinned_images", "sandbox"),
		containerd("control-plane-1", 10, "plugins", criImages, "max_concurrent_downloads"),
		containerd("control-plane-1", false, "plugins", criImages, "discard_unpacked_layers"),
		containerd("control-plane-1", true, "plugins", criImages, "disable_snapshot_annotations"),
		containerd("control-plane-1", "[https://mirror.example.com]", "plugins", criImages, "registry", "mirrors", "docker.io", "endpoint"),
		containerd("control-plane-1", "[https://mirror.example.com]", "plugins", criImages, "registry", "mirrors", "ghcr.io", "endpoint"),
		containerd("control-plane-1", true, "plugins", criRuntime, "enable_unprivileged_ports"),
		containerd("control-plane-1", "runc", "plugins", criRuntime, "containerd", "default_runtime_name"),
		containerd("control-plane-1", "io.containerd.runsc.v1", "plugins", criRuntime, "containerd", "runtimes", "runsc", "runtime_type"),
		containerd("control-plane-1", "podsandbox", "plugins", criRuntime, "containerd", "runtimes", "a/b", "sandboxer"),
		containerd("control-plane-1", "1h", "plugins", "io.containerd.grpc.v1.cri", "stream_idle_timeout"),
		containerd("control-plane-1", true, "plugins", "io.containerd.snapshotter.v1.overlayfs", "upperdir_label"),
	}},
	"dual.yaml": {nodes: single, needs: []need{ipv6}, checks: []check{
		server("::1", ""), publishes("lb", "16443/tcp", "::1", ""), addressed(v6, v4), proxyMode("nftables"),
		podSubnets("fd00:10:1::/56", "10.1.0.0/16"), serviceSubnets("fd00:10:96::/112", "10.96.0.0/16"),
	}},
	"ha.yaml": {
		nodes: []string{"control-plane-1", "control-plane-2", "control-plane-3", "worker-1", "worker-2", "worker-3"},
		needs: []need{freePort("tcp", "127.0.0.1:6443")}, checks: []check{
			server("127.0.0.1", "6443"), publishes("lb", "16443/tcp", "127.0.0.1", "6443"), etcdVoters(3),
			taints("control-plane-3", controlPlaneTaint), taints("worker-3"),
		},
	},
	"images.yaml": {nodes: pairNodes, needs: []need{nodeImage("v1.35.4")}, checks: []check{
		version("v1.35.4"),
		flag(apiserver, "feature-gates", "ImageVolume=true,InPlacePodVerticalScalingExclusiveCPUs=false"),
		flag(manager, "feature-gates", "ImageVolume=true,InPlacePodVerticalScalingExclusiveCPUs=false"),
		flag(scheduler, "feature-gates", "ImageVolume=true,InPlacePodVerticalScalingExclusiveCPUs=false"),
		flag(apiserver, "runtime-config", "api/alpha=false,apps/v1=true"),
		kubelet("worker-1", true, "featureGates", "ImageVolume"), proxy(true, "featureGates", "ImageVolume"),
	}},
	"ingress.yaml": {
		nodes: single, needs: []need{freePort("tcp", "0.0.0.0:80"), freePort("tcp", "0.0.0.0:443")}, checks: []check{
			label("control-plane-1", "ingress-ready", "true"),
			publishes("control-plane-1", "80/tcp", "0.0.0.0", "80"), publishes("control-plane-1", "443/tcp", "0.0.0.0", "443"),
		},
	},
	"ipv6.yaml": {nodes: pairNodes, needs: []need{ipv6}, checks: []check{
		server("::1", ""), publishes("control-plane-1", "30080/tcp", "::", ""), addressed(v6),
		podSubnets("fd00:10:244::/56"), serviceSubnets("fd00:10:96::/112"),
	}},
	"ipvs.yaml": {nodes: single, needs: []need{kernelModule("ip_vs")}, checks: []check{proxyMode("ipvs")}},
	"join.yaml": {nodes: []string{"control-plane-1", "worker-1", "worker-2"}, checks: []check{
		taints("worker-1", "dedicated=gpu:NoSchedule"), label("worker-1", "tier", "frontend"), reserved("worker-1", "1Gi"),
		taints("worker-2"), label("worker-2", "tier", "backend"), reserved("worker-2", "1Gi"), maxPods("worker-2", 50),
		taints("control-plane-1", controlPlaneTaint), noLabel("control-plane-1", "tier"),
	}},
	"minimal.yaml": {nodes: single, checks: []check{
		taints("control-plane-1"), noLabel("control-plane-1", excludeLabel), proxyMode("iptables"),
		server("127.0.0.1", ""), publishes("lb", "16443/tcp", "127.0.0.1", ""),
		podSubnets("10.244.0.0/16"), serviceSubnets("10.96.0.0/16"),
	}},
	"mounts-propagation.yaml": {
		nodes: single, needs: []need{sharedFolder("/tmp/kluster-from-host"), sharedFolder("/tmp/kluster-both-ways")}, checks: []check{
			propagates("control-plane-1", "/from-host", "/tmp/kluster-from-host", "master"),
			propagates("control-plane-1", "/both-ways", "/tmp/kluster-both-ways", "shared"),
		},
	},
	"mounts.yaml": {
		nodes: pairNodes,
		needs: []need{engineSocket("/var/run/docker.sock"), folder("/tmp/kluster-files"), makes("/tmp/kluster-files/a")},
		checks: []check{
			writes("control-plane-1", "/files", "/tmp/kluster-files/a"),
			sees("control-plane-1", "/other-files/audit.yaml", "files/audit.yaml"), readOnly("control-plane-1", "/other-files"),
			socket("worker-1", "/var/run/docker.sock"),
			label("worker-1", "tier", "backend"), label("worker-1", "example.com/zone", ""),
		},
	},
	"own-cni.yaml": {nodes: []string{"control-plane-1", "worker-1", "worker-2"}, unready: true, checks: []check{
		said, noProxy, podSubnets("10.10.0.0/16"), serviceSubnets("10.11.0.0/16"), dnsSearch("worker-1"),
	}},
	"ports.yaml": {
		nodes: pairNodes,
		needs: []need{freePort("udp", "0.0.0.0:80"), freePort("tcp", "127.0.0.1:80"), freePort("tcp", "127.0.0.2:80")},
		checks: []check{
			server("127.0.0.1", ""), publishes("lb", "16443/tcp", "0.0.0.0", ""),
			publishes("control-plane-1", "80/udp", "0.0.0.0", "80"), publishes("control-plane-1", "80/tcp", "127.0.0.1", "80"),
			publishes("control-plane-1", "31000/udp", "0.0.0.0", ""), publishes("control-plane-1", "31001/tcp", "0.0.0.0", ""),
			publishes("worker-1", "80/tcp", "127.0.0.2", "80"),
		},
	},
	"registry-dir.yaml": {nodes: single, checks: []check{
		containerd("control-plane-1", "/etc/containerd/certs.d", "plugins", criImages, "registry", "config_path"),
	}},
	"registry.yaml": {nodes: pairNodes, checks: []check{
		containerd("control-plane-1", "[http://registry:5000]", "plugins", criImages, "registry", "mirrors", "localhost:5001", "endpoint"),
		containerd("worker-1", "[http://registry:5000]", "plugins", criImages, "registry", "mirrors", "localhost:5001", "endpoint"),
		containerd("worker-1", "", "plugins", criImages, "registry", "config_path"),
	}},
	"sctp.yaml": {nodes: single, needs: []need{sctp}, checks: []check{publishes("control-plane-1", "31000/sctp", "0.0.0.0", "")}},
}
