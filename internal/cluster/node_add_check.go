package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/kubeadm"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

// clusterDocs are what the cluster keeps of its own configuration.
type clusterDocs struct {
	config, kubelet []byte // ClusterConfiguration, KubeletConfiguration
	facts           kubeadm.ClusterFacts
	nodes           []corev1.Node
}

// check sees that the cluster can take the nodes, and settles what each will be. It is
// done in the lock: what is looked at stays so.
func (a *addition) check(ctx context.Context) error {
	for _, part := range []func(context.Context) error{a.lookAtMachines, a.lookAtCluster, a.chooseImage, a.chooseNodes, a.checkEtcd} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// lookAtMachines finds a control plane that runs, which the others are made after.
func (a *addition) lookAtMachines(ctx context.Context) (err error) {
	if a.machines, err = a.m.existing(ctx, a.cfg.Name); err != nil {
		return err
	}
	made, err := a.m.isMade(ctx, a.machines)
	if err != nil {
		return err
	}
	if !made {
		return unfitError(fmt.Errorf("cluster %q is not complete", a.cfg.Name), "wait until its create has ended, or delete it")
	}
	if a.controlPlanesAdded() {
		if err := unpaused(a.cfg.Name, a.machines); err != nil {
			return err
		}
	}
	if a.had, err = a.m.members(ctx, a.machines); err != nil {
		return err
	}
	i := slices.IndexFunc(a.had, func(n member) bool { return isControlPlane(n.Node) && n.State == provider.StateRunning })
	if i < 0 {
		return unfitError(errNoAPI, "start the cluster first: kluster start %s", a.cfg.Name)
	}
	a.source = a.had[i]
	if a.facts, err = factsOf([]provider.Node{a.source.Node}); err != nil {
		return err
	}
	a.id = a.source.Labels[nodespec.LabelCreation]
	// The labels of the create that made the cluster: what removes one removes all.
	a.labels = map[string]string{addedLabel: a.change}
	for _, name := range []string{nodespec.LabelCluster, nodespec.LabelCreation, nodespec.LabelCreator} {
		a.labels[name] = a.source.Labels[name]
	}
	told := a.source.told
	a.cfg.Networking = config.Networking{PodSubnets: told.PodSubnets, ServiceSubnets: told.ServiceSubnets, CNI: told.CNI}
	conf, err := a.m.Kubeconfig(ctx, a.cfg.Name, false)
	if err != nil {
		return err
	}
	return a.connect(conf)
}

// lookAtCluster reads from the API what the cluster is.
func (a *addition) lookAtCluster(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, a.add.Wait, &timeoutError{a.add.Wait})
	defer cancel()
	for _, doc := range []struct {
		name, key string
		to        *[]byte
	}{{"kubeadm-config", "ClusterConfiguration", &a.cluster.config}, {"kubelet-config", "kubelet", &a.cluster.kubelet}} {
		err := persist(ctx, "reading "+doc.name, func(ctx context.Context) error {
			cm, err := a.client.CoreV1().ConfigMaps(metav1.NamespaceSystem).Get(ctx, doc.name, metav1.GetOptions{})
			if err == nil {
				*doc.to = []byte(cm.Data[doc.key])
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	var err error
	if a.cluster.facts, err = kubeadm.ReadCluster(a.cluster.config); err != nil {
		return err
	}
	return persist(ctx, "listing nodes", func(ctx context.Context) error {
		list, err := a.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		a.cluster.nodes = list.Items
		a.readies = slices.ContainsFunc(list.Items, func(n corev1.Node) bool { return notReady(&n) == "" })
		return nil
	})
}

// chooseImage settles what the nodes are made of and what runs their containers.
func (a *addition) chooseImage(ctx context.Context) error {
	if a.add.OCIRuntime == "" && (a.add.Runtime == "" || a.add.Runtime == a.source.told.Runtime) {
		a.add.OCIRuntime = a.source.told.OCIRuntime
	}
	if a.add.Runtime == "" {
		a.add.Runtime = a.source.told.Runtime
	}
	want := config.Node{Runtime: a.add.Runtime, OCIRuntime: a.add.OCIRuntime}
	ref := a.add.Image
	if ref == "" {
		ref = a.imageWith(want)
	}
	img, err := a.m.provider.Image(ctx, ref)
	if errors.Is(err, provider.ErrNotFound) {
		return fmt.Errorf("image %q: %w", ref, errNoImage)
	}
	if err != nil {
		return err
	}
	m, err := manifestOf(img)
	if err != nil {
		return fmt.Errorf("image %q: %w", ref, err)
	}
	held, err := runsOf(want, m)
	if err != nil {
		return &inputError{failure.With(fmt.Errorf("image %q: %w", ref, err), failure.Hint("name an image that holds it with --image; kluster get images lists them"))}
	}
	if err := a.fits(m.Kubernetes); err != nil {
		return &inputError{fmt.Errorf("image %q: %w", ref, err)}
	}
	layers, err := layersOf(img)
	if err != nil {
		return fmt.Errorf("image %q: %w", ref, err)
	}
	a.add.Image, a.layers[ref], a.runs[""] = ref, layers, held
	a.cfg.KubernetesVersion = m.Kubernetes
	return nil
}

// imageWith is the image of a node of the cluster that holds what is wanted, those of
// control planes first; that of the source if there is none.
func (a *addition) imageWith(want config.Node) string {
	for _, n := range append([]member{a.source}, a.had...) {
		m, err := manifestOf(provider.Image{Labels: n.Labels})
		if err != nil {
			continue
		}
		if _, err := runsOf(want, m); err == nil && a.fits(m.Kubernetes) == nil {
			return n.Image
		}
	}
	return a.source.Image
}

// fits says what forbids programs of a version: no kubelet may be newer than the API, and
// a control plane is of the cluster's own version.
func (a *addition) fits(version string) error {
	own := a.cluster.facts.Kubernetes
	if a.controlPlanesAdded() && version != own {
		return fmt.Errorf("it holds Kubernetes %s, and a control plane must have the cluster's %s", version, own)
	}
	return notNewer(version, own)
}

// chooseNodes gives the new nodes names and addresses that nobody has.
func (a *addition) chooseNodes(context.Context) error {
	if n := len(a.had) + a.add.Count; n > config.MaxNodes {
		return &inputError{fmt.Errorf("a cluster has at most %d nodes, and this one would have %d", config.MaxNodes, n)}
	}
	if err := a.roomForPods(); err != nil {
		return err
	}
	a.addrs = map[string][]netip.Addr{}
	names, addrs := a.freeNames(), a.freeAddrs()
	if len(addrs) < a.add.Count {
		return unfitError(
			fmt.Errorf("the cluster's network %s has %d fixed addresses left, and %d are needed", joined(a.facts.Subnets), len(addrs), a.add.Count),
			"the rest belongs to Services of type LoadBalancer; a cluster with larger networking.nodeSubnets can grow further")
	}
	for i := range a.add.Count {
		n := config.Node{Name: names[i], Role: a.add.Role, Runtime: a.add.Runtime, OCIRuntime: a.add.OCIRuntime}
		if a.controlPlanesAdded() {
			n.Taints, n.KeepExcludeLB = a.likeOthers()
		}
		a.addrs[n.Name], a.image[n.Name], a.runs[n.Name] = addrs[i], a.add.Image, a.runs[""]
		a.cfg.Nodes = append(a.cfg.Nodes, n)
	}
	if total := len(apiServersOf(a.had)) + a.add.Count; a.controlPlanesAdded() && total%2 == 0 {
		a.note(fmt.Sprintf("%d control planes bear the loss of no more than %d would: an odd number is better", total, total-1))
	}
	return nil
}

func joined(prefixes []netip.Prefix) string {
	var all []string
	for _, p := range prefixes {
		all = append(all, p.String())
	}
	return strings.Join(all, ", ")
}

// roomForPods sees that every new node can have a range of the pod subnets, as large as
// those that nodes have.
func (a *addition) roomForPods() error {
	for _, subnet := range a.cfg.Networking.PodSubnets {
		for _, n := range a.cluster.nodes {
			for _, text := range n.Spec.PodCIDRs {
				own, err := netip.ParsePrefix(text)
				if err != nil || !subnet.Overlaps(own) {
					continue
				}
				bits := own.Bits() - subnet.Bits()
				if need := len(a.cluster.nodes) + a.add.Count; bits >= 0 && bits < 16 && 1<<bits < need {
					return unfitError(fmt.Errorf("the pod subnet %s has room for %d nodes with a /%d each, and %d are wanted", subnet, 1<<bits, own.Bits(), need),
						"a cluster with a larger networking.podSubnet can grow further")
				}
			}
		}
	}
	return nil
}

// likeOthers are the taints of the cluster's control planes, and whether they are kept
// from serving Services of type LoadBalancer.
func (a *addition) likeOthers() (taints []config.Taint, keepExclude bool) {
	i := slices.IndexFunc(a.cluster.nodes, func(n corev1.Node) bool { return n.Name == a.source.Name })
	if i < 0 {
		return nil, false
	}
	for _, t := range a.cluster.nodes[i].Spec.Taints {
		if t.Key == controlPlaneLabel {
			taints = append(taints, config.Taint{Key: t.Key, Value: t.Value, Effect: string(t.Effect)})
		}
	}
	_, keepExclude = a.cluster.nodes[i].Labels[excludeLabel]
	return taints, keepExclude
}

// controlPlaneLabel is kubeadm's mark of control planes, and the key of their taint.
const controlPlaneLabel = "node-role.kubernetes.io/control-plane"

// freeNames are names with the lowest numbers that neither a machine nor a node of the
// API has.
func (a *addition) freeNames() []string {
	taken := map[string]bool{}
	for _, n := range a.had {
		taken[n.Name] = true
	}
	for _, n := range a.cluster.nodes {
		taken[n.Name] = true
	}
	var names []string
	for i := 1; len(names) < a.add.Count; i++ {
		if name := config.NodeName(a.cfg.Name, a.add.Role, i); !taken[name] {
			names = append(names, name)
		}
	}
	return names
}

// freeAddrs are the fixed addresses, one of each family, that no machine has: below those
// that Services of type LoadBalancer get, which stay what they are.
func (a *addition) freeAddrs() [][]netip.Addr {
	taken := map[netip.Addr]bool{}
	for _, n := range a.machines {
		for _, addr := range n.Addrs {
			taken[addr] = true
		}
	}
	var free [][]netip.Addr
	for i := range config.MaxNodes + len(a.had) {
		var addrs []netip.Addr
		for _, p := range a.facts.Subnets {
			if addr := nodeAddr(p, i); !taken[addr] && addr.Less(a.endOfNodes(p)) {
				addrs = append(addrs, addr)
			}
		}
		if len(addrs) == len(a.facts.Subnets) {
			free = append(free, addrs)
		}
	}
	return free
}

// endOfNodes is the first address of a subnet that is not for nodes. The one before those
// of Services is a registry's.
func (a *addition) endOfNodes(p netip.Prefix) netip.Addr {
	for _, r := range a.source.told.BalancerAddrs {
		if p.Contains(r.First) {
			if registry := balancerRange(p).Addr().Prev(); registry.Less(r.First) {
				return registry
			}
			return r.First
		}
	}
	return dynamicRange(p).Addr()
}

// checkEtcd sees that all of its members are well before it gets more of them.
func (a *addition) checkEtcd(ctx context.Context) error {
	if !a.controlPlanesAdded() || a.cluster.facts.ExternalEtcd {
		return nil
	}
	machines := machinesIn(a.had)
	e, err := a.m.anEtcd(ctx, machines)
	if err != nil {
		return unfitError(err, "kluster get nodes shows what runs")
	}
	members, err := e.members(ctx)
	if err != nil {
		return err
	}
	well := e.well(ctx, members, machines)
	for _, m := range members {
		if !well[m.ID] {
			return unfitError(fmt.Errorf("the member %q of etcd does not answer, and with one more the loss of another would be the loss of all", m.Name),
				"start its node, or remove it, first: kluster node start %[1]s, kluster node remove %[1]s", m.Name)
		}
	}
	return nil
}

// kubeadmRuntime is what kubeadm must know of a node's container runtime.
func (a *addition) kubeadmRuntime(n config.Node) (kubeadm.Runtime, error) {
	runtime, err := cri.Get(n.Runtime)
	if err != nil {
		return kubeadm.Runtime{}, err
	}
	dropIn, err := runtime.KubeletDropIn(a.cfg.KubernetesVersion)
	return kubeadm.Runtime{Socket: runtime.Socket, DropIn: dropIn}, err
}
