package kubeadm

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/nodespec"
)

// tokenTTL is how long the bootstrap token lives that kubeadm makes in the node.
// Nothing in a create uses it; later joins make their own.
const tokenTTL = "15m0s"

// components of the control plane whose flags ClusterConfiguration holds.
var components = []string{"apiServer", "controllerManager", "scheduler"}

// defaultArgs are flags that every cluster gets. Patches may set others. Profiles are of
// no use to most, and show what a component does to whoever may ask it.
var defaultArgs = map[string][]arg{
	"apiServer": append([]arg{{"profiling", "false"}}, auditArgs...),
	"scheduler": {{"profiling", "false"}},
	// A controller manager that starts asks for a service account and a token for
	// each of its some forty controllers, 200 requests and more; its own limit of
	// 20 a second makes that take ten seconds, in which no pod is made.
	"controllerManager": {{"kube-api-burst", "400"}, {"kube-api-qps", "200"}, {"profiling", "false"}},
}

// What an ephemeral cluster spares its host.
//
// etcd's data stays on the node's volume: its writes still reach the kernel before
// they are acknowledged, so that a killed node comes back with all of them. On a
// tmpfs they would end with the node's container, and take memory. What is lost is
// what the kernel holds when the host itself goes down.
const (
	noFsync       = "unsafe-no-fsync" // a flag of etcd 3.5 and 3.6
	shortLogSize  = "1Mi"
	shortLogFiles = 2 // the fewest that a kubelet takes
)

func (r *renderer) clusterConfiguration() object {
	c := r.in.Cluster
	doc := object{
		"clusterName":          c.Name,
		"kubernetesVersion":    c.KubernetesVersion,
		"controlPlaneEndpoint": fmt.Sprintf("%s:%d", r.in.APIHost, nodespec.APIPort),
		"encryptionAlgorithm":  "ECDSA-P256",
		"networking": object{
			"podSubnet":     joinPrefixes(c.Networking.PodSubnets),
			"serviceSubnet": joinPrefixes(c.Networking.ServiceSubnets),
			"dnsDomain":     "cluster.local",
		},
	}
	for _, name := range components {
		// Always there, for JSON 6902 patches to add to.
		args := defaultArgs[name]
		if c.Hardened {
			args = override(args, hardenedArgs[name])
		}
		ensure(doc, name)["extraArgs"] = argList(args)
		if len(c.FeatureGates) > 0 {
			setArg(child(doc, name), "extraArgs", "feature-gates", joinPairs(c.FeatureGates))
		}
	}
	if c.Ephemeral {
		setArg(ensure(ensure(doc, "etcd"), "local"), "extraArgs", noFsync, "true")
	}
	child(doc, "apiServer")["certSANs"] = r.sans()
	if len(c.RuntimeConfig) > 0 {
		setArg(child(doc, "apiServer"), "extraArgs", "runtime-config", joinPairs(c.RuntimeConfig))
	}
	if c.Networking.KubeProxyMode == "none" {
		// Unlike a skipped phase this is kept, and upgrades heed it.
		doc["proxy"] = object{"disabled": true}
	}
	return doc
}

// settle puts right what a patch may have taken away from ClusterConfiguration,
// and drops what is empty.
func (r *renderer) settle(doc object) {
	api := ensure(doc, "apiServer")
	sans, _ := api["certSANs"].([]any)
	for _, s := range r.sans() {
		if !slices.Contains(sans, any(s)) {
			sans = append(sans, s)
		}
	}
	api["certSANs"] = sans
	dropAuthentication(api)
	mountFolders(api)
	if etcd := child(doc, "etcd"); r.in.Cluster.Ephemeral && etcd["external"] != nil {
		// kubeadm takes one or the other, and the flag is of no use to others' etcd.
		delete(etcd, "local")
	}
	for _, name := range components {
		c := child(doc, name)
		if args, ok := argsOf(c["extraArgs"]); ok && len(args) == 0 {
			delete(c, "extraArgs")
		}
		if len(c) == 0 {
			delete(doc, name)
		}
	}
}

func (r *renderer) sans() []string {
	sans := []string{"localhost", "127.0.0.1"}
	if r.in.Cluster.Networking.IPFamily != "ipv4" {
		sans = append(sans, "::1")
	}
	for _, s := range r.in.SANs {
		if !slices.Contains(sans, s) {
			sans = append(sans, s)
		}
	}
	return sans
}

func (r *renderer) kubeletConfiguration() object {
	doc := object{
		"cgroupDriver": "systemd",
		"cgroupRoot":   "/kubelet",
		"failSwapOn":   false,
		// As with the other components; see defaultArgs.
		"enableProfilingHandler": false,
		// The disk is the host's: what others fill must not evict pods here.
		"imageGCHighThresholdPercent": 100,
		"evictionHard": object{
			"imagefs.available": "0%", "imagefs.inodesFree": "0%",
			"nodefs.available": "0%", "nodefs.inodesFree": "0%",
		},
	}
	if r.in.CgroupVersion == 1 {
		doc["cgroupDriver"], doc["failCgroupV1"] = "cgroupfs", false
	}
	if r.in.Cluster.Ephemeral {
		doc["containerLogMaxSize"], doc["containerLogMaxFiles"] = shortLogSize, shortLogFiles
	}
	if r.in.Cluster.Hardened {
		maps.Copy(doc, hardenedKubelet)
	}
	if g := r.in.Cluster.FeatureGates; len(g) > 0 {
		doc["featureGates"] = g
	}
	return doc
}

func (r *renderer) proxyConfiguration() object {
	// nf_conntrack_max is the host's, and not to be set from a node.
	conntrack := object{"maxPerCore": 0}
	if r.in.Rootless {
		conntrack["tcpEstablishedTimeout"], conntrack["tcpCloseWaitTimeout"] = "0s", "0s"
	}
	doc := object{"mode": r.in.Cluster.Networking.KubeProxyMode, "conntrack": conntrack}
	if g := r.in.Cluster.FeatureGates; len(g) > 0 {
		doc["featureGates"] = g
	}
	return doc
}

// registration renders a node's InitConfiguration, if it is the first, or
// JoinConfiguration.
func (r *renderer) registration(n config.Node, first, dropIns bool, own patches) (object, error) {
	args := []arg{{"node-ip", r.nodeIP(n.Name)}}
	if dropIns {
		args = append(args, arg{"config-dir", DropInDir})
	}
	reg := object{
		"name": n.Name, "criSocket": r.in.Runtimes[n.Name].Socket,
		"taints": taintList(n.Taints), "kubeletExtraArgs": argList(args),
	}
	endpoint := object{"advertiseAddress": r.in.Addrs[n.Name][0].String(), "bindPort": nodespec.APIServerPort}
	k, doc := joinKind, object{"nodeRegistration": reg}
	switch {
	case first:
		k = initKind
		doc["localAPIEndpoint"] = endpoint
		// Without a token of its own kubeadm makes a random one, in the node.
		doc["bootstrapTokens"] = []any{object{"ttl": tokenTTL}}
	case n.Role == nodespec.RoleControlPlane:
		doc["controlPlane"] = object{"localAPIEndpoint": endpoint}
	}
	doc, err := r.patched(k, doc, own)
	if err != nil {
		return nil, err
	}
	if name := str(child(doc, "nodeRegistration"), "name"); name != n.Name {
		return nil, fmt.Errorf("a patch of %s names the node %q: names are the configuration's", k, name)
	}
	return doc, nil
}

// nodeIP is the kubelet's --node-ip: both families' where pods have both.
func (r *renderer) nodeIP(node string) string {
	addrs := r.in.Addrs[node]
	if r.in.Cluster.Networking.IPFamily != "dual" {
		return addrs[0].String()
	}
	var all []string
	for _, a := range addrs {
		all = append(all, a.String())
	}
	return strings.Join(all, ",")
}

func taintList(taints []config.Taint) []any {
	list := []any{} // not null, which kubeadm takes for its default
	for _, t := range taints {
		o := object{"key": t.Key, "effect": t.Effect}
		if t.Value != "" {
			o["value"] = t.Value
		}
		list = append(list, o)
	}
	return list
}

func joinPrefixes(all []netip.Prefix) string {
	var s []string
	for _, p := range all {
		s = append(s, p.String())
	}
	return strings.Join(s, ",")
}
