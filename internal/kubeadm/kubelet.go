package kubeadm

import (
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"strconv"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/pki"
)

// kubeletZero are the fields that a KubeletConfiguration is written with even if
// they say nothing.
var kubeletZero = object{
	"authentication": object{"webhook": object{"cacheTTL": "0s"}},
	"authorization": object{"webhook": object{
		"cacheAuthorizedTTL": "0s", "cacheUnauthorizedTTL": "0s",
	}},
	"containerRuntimeEndpoint": "", "crashLoopBackOff": object{}, "memorySwap": object{},
	"logging": object{
		"flushFrequency": 0, "verbosity": 0,
		"options": object{"json": object{"infoBufferSize": "0"}, "text": object{"infoBufferSize": "0"}},
	},
	"cpuManagerReconcilePeriod": "0s", "evictionPressureTransitionPeriod": "0s",
	"fileCheckFrequency": "0s", "httpCheckFrequency": "0s",
	"imageMaximumGCAge": "0s", "imageMinimumGCAge": "0s",
	"nodeStatusReportFrequency": "0s", "nodeStatusUpdateFrequency": "0s",
	"runtimeRequestTimeout": "0s", "streamingConnectionIdleTimeout": "0s",
	"shutdownGracePeriod": "0s", "shutdownGracePeriodCriticalPods": "0s",
	"syncFrequency": "0s", "volumeStatsAggPeriod": "0s",
}

// dropIns render a node's own differences from the kubelet configuration that is
// the cluster's. They are not part of config.yaml because "kubeadm upgrade" writes
// that anew.
func (r *renderer) dropIns(n config.Node, own patches) ([]nodespec.File, error) {
	var files []nodespec.File
	add := func(name string, doc object) error {
		b, err := encode(headed(kubeletKind, doc))
		if err != nil {
			return fmt.Errorf("encoding the kubelet drop-in %s: %w", name, err)
		}
		files = append(files, nodespec.File{Path: DropInDir + "/" + name, Mode: 0o644, Data: b})
		return nil
	}
	if own := r.in.Runtimes[n.Name].DropIn; own != nil {
		files = append(files, nodespec.File{Path: nodespec.RuntimeDropIn, Mode: 0o644, Data: own})
	}
	if reserved := r.reserved(n); len(reserved) > 0 {
		if err := add("10-limits.conf", object{"systemReserved": reserved}); err != nil {
			return nil, err
		}
	}
	patched, err := own.apply(kubeletKind, r.kubelet)
	if err != nil {
		return nil, err
	}
	diff, err := difference(r.kubelet, patched)
	if err != nil {
		return nil, err
	}
	if len(diff) > 0 {
		err = add("20-patches.conf", diff)
	}
	return files, err
}

// reserved is what of the host a limited node must not hand out, so that what is
// allocatable equals the limit: a kubelet in a container sees the whole machine.
func (r *renderer) reserved(n config.Node) object {
	out := object{}
	if n.CPUs > 0 && n.CPUs < float64(r.in.HostCPUs) {
		out["cpu"] = strconv.Itoa(r.in.HostCPUs*1000-int(math.Round(n.CPUs*1000))) + "m"
	}
	if n.Memory > 0 && n.Memory < r.in.HostMemory {
		out["memory"] = strconv.FormatInt(r.in.HostMemory-n.Memory, 10)
	}
	return out
}

// difference is the merge patch that makes to of from.
func difference(from, to object) (object, error) {
	a, err := json.Marshal(from)
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(to)
	if err != nil {
		return nil, err
	}
	patch, err := jsonpatch.CreateMergePatch(a, b)
	if err != nil {
		return nil, err
	}
	var out object
	return out, json.Unmarshal(patch, &out)
}

// kubeletConf renders the kubelet's kubeconfig: named as "kubeadm init" names it on
// the first control plane, and as a kubelet's own TLS bootstrap does elsewhere.
func (r *renderer) kubeletConf(n config.Node, first bool) (nodespec.File, error) {
	server := "https://" + str(r.cluster, "controlPlaneEndpoint")
	if n.Role == nodespec.RoleControlPlane && gate(r.cluster, gateLocalKubelet, true) {
		server = "https://" + netip.AddrPortFrom(r.in.Addrs[n.Name][0], nodespec.APIServerPort).String()
	}
	cluster, user, context, namespace := "default-cluster", "default-auth", "default-context", "default"
	if first {
		cluster, user, namespace = str(r.cluster, "clusterName"), "system:node:"+n.Name, ""
		context = user + "@" + cluster
	}
	c := api.NewConfig()
	c.Clusters[cluster] = &api.Cluster{Server: server, CertificateAuthorityData: r.in.CA}
	c.AuthInfos[user] = &api.AuthInfo{ClientCertificate: pki.KubeletClientPEM, ClientKey: pki.KubeletClientPEM}
	c.Contexts[context] = &api.Context{Cluster: cluster, AuthInfo: user, Namespace: namespace}
	c.CurrentContext = context
	b, err := clientcmd.Write(*c)
	if err != nil {
		return nodespec.File{}, fmt.Errorf("encoding %s: %w", nodespec.KubeletConf, err)
	}
	return nodespec.File{Path: nodespec.KubeletConf, Mode: 0o600, Data: b}, nil
}
