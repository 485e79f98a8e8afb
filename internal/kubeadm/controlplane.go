package kubeadm

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/kluster-project/kluster/internal/nodespec"
)

// etcdPeerPort is where etcd's members talk to each other.
const etcdPeerPort = 2380

// etcdLogs is where the log of etcd's static pod appears when the kubelet is about
// to start it.
const etcdLogs = "/var/log/pods/kube-system_etcd-*"

// Phases of "kubeadm init" that are skipped, and why.
var (
	skipAlways = []string{
		"preflight",         // the host was checked; images are in the node
		"etcd",              // done before, so that etcd starts ahead of what needs it
		"kubelet-finalize",  // the kubelet has its rotatable certificate already
		"upload-certs",      // every control plane has its files already
		"show-join-command", // nobody reads it
	}
	// skipOthers are done once per cluster, on the first control plane.
	skipOthers = []string{"upload-config", "bootstrap-token", "addon"}
	// lastPhases are done once per cluster at the very end, after the add-ons: the
	// bootstrap token waits for a namespace that an API server takes a while to
	// make. (Add-ons that are skipped are noted as disabled in the cluster.)
	lastPhases = [][]string{{"bootstrap-token"}}
)

// controlPlane renders kubeadm's configuration and command lines, and unless
// kubeadm must do that itself the kubelet's files. The kubelet then starts with
// the node, and each static pod as soon as its manifest is there.
func (r *renderer) controlPlane(reg object, first bool) (Node, error) {
	conf, skip := initFrom(reg, first), slices.Clone(skipAlways)
	if !first {
		skip = append(skip, skipOthers...)
	}
	out := Node{}
	// Patches that lie in the node are kubeadm's to apply.
	kubelet := reg["patches"] == nil
	if kubelet {
		files, err := r.kubeletFiles(reg, true)
		if err != nil {
			return Node{}, err
		}
		out.Files = files
		skip = append(skip, "kubelet-start")
	}
	// The command line's list replaces the configuration's.
	user := takeSkipped(conf)
	skip = append(skip, user...)
	var last [][]string
	for _, phase := range lastPhases {
		// One that the user wants in part is left to the command that knows.
		if inPart := func(s string) bool { return strings.HasPrefix(s, phase[0]) }; first && !slices.ContainsFunc(user, inPart) {
			skip = append(skip, phase[0])
			last = append(last, append(phaseCommand(ConfigFile, phase...), "--skip-token-print"))
		}
	}
	f, err := r.configFile(ConfigFile, conf, r.cluster)
	if err != nil {
		return Node{}, err
	}
	policies, err := r.policyFiles()
	if err != nil {
		return Node{}, err
	}
	out.Files = append(append(out.Files, f), policies...)
	etcd := ConfigFile
	if len(r.controls) > 1 {
		etcd = EtcdConfigFile
		f, err := r.configFile(EtcdConfigFile, conf, r.withEtcdMembers())
		if err != nil {
			return Node{}, err
		}
		out.Files = append(out.Files, f)
	}
	slices.Sort(skip)
	all := []string{
		"kubeadm", "init", "--config", ConfigFile, "--skip-token-print", "--skip-phases=" + strings.Join(slices.Compact(skip), ","),
	}
	out.Commands = append(r.starts(child(conf, "localAPIEndpoint"), etcd, kubelet), all)
	out.Commands = append(out.Commands, last...)
	if !first {
		// Every control plane may need it while it comes up; a real join leaves none.
		out.Commands = append(out.Commands, []string{"rm", "-f", superAdminConf})
	}
	return out, nil
}

// starts are the command lines before the one that does all that is left. With a
// kubelet that runs they start each program as late as nobody waits for it, and so
// with the machine to those before it: an API server that does not find etcd tries
// again after a second, and until it serves no controller manager can do anything.
func (r *renderer) starts(endpoint object, etcdConfig string, kubelet bool) [][]string {
	commands := [][]string{phaseCommand(ConfigFile, "certs", "all")}
	if child(r.cluster, "etcd")["external"] == nil {
		commands = append(commands, phaseCommand(etcdConfig, "etcd", "local"))
		if kubelet {
			commands = append(commands, []string{"kluster-node", "await", "file", etcdLogs})
		}
	}
	if !kubelet {
		return commands
	}
	address := net.JoinHostPort(str(endpoint, "advertiseAddress"), fmt.Sprint(endpoint["bindPort"]))
	return append(commands, phaseCommand(ConfigFile, "control-plane", "apiserver"), []string{"kluster-node", "await", "tls", address})
}

// phaseCommand is the command line of one phase of kubeadm init.
func phaseCommand(config string, names ...string) []string {
	return slices.Concat([]string{"kubeadm", "init", "phase"}, names, []string{"--config", config})
}

// takeSkipped takes the user's skipped phases out of an InitConfiguration.
func takeSkipped(conf object) []string {
	var names []string
	list, _ := conf["skipPhases"].([]any)
	for _, p := range list {
		names = append(names, fmt.Sprint(p))
	}
	delete(conf, "skipPhases")
	return names
}

// initFrom gives the InitConfiguration that does to a control plane what reg
// would: its own, or what a JoinConfiguration says.
func initFrom(reg object, first bool) object {
	if first {
		return clone(reg)
	}
	conf := object{"localAPIEndpoint": child(child(reg, "controlPlane"), "localAPIEndpoint")}
	for _, key := range []string{"nodeRegistration", "patches", "timeouts", "skipPhases"} {
		if v, ok := reg[key]; ok {
			conf[key] = v
		}
	}
	return clone(conf)
}

// withEtcdMembers is ClusterConfiguration with every member of etcd in its flags.
func (r *renderer) withEtcdMembers() object {
	var members []string
	for _, n := range r.controls {
		peer := netip.AddrPortFrom(r.in.Addrs[n.Name][0], etcdPeerPort)
		members = append(members, fmt.Sprintf("%s=https://%s", n.Name, peer))
	}
	doc := clone(r.cluster)
	local := ensure(ensure(doc, "etcd"), "local")
	setArg(local, "extraArgs", "initial-cluster", strings.Join(members, ","))
	setArg(local, "extraArgs", "initial-cluster-token", r.in.EtcdToken)
	return doc
}

func (r *renderer) configFile(path string, conf, cluster object) (nodespec.File, error) {
	docs := []object{headed(initKind, conf), headed(clusterKind, cluster), headed(kubeletKind, r.kubelet)}
	if r.proxy != nil {
		docs = append(docs, headed(proxyKind, r.proxy))
	}
	b, err := encode(docs...)
	if err != nil {
		return nodespec.File{}, fmt.Errorf("encoding %s: %w", path, err)
	}
	return nodespec.File{Path: path, Mode: 0o600, Data: b}, nil
}
