package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"

	"github.com/kluster-project/kluster/internal/addons"
	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/kubeadm"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/status"
	"github.com/kluster-project/kluster/provider"
)

// collect takes from the nodes that there are what the new ones need.
func (a *addition) collect(ctx context.Context) (err error) {
	if a.shared, err = a.m.readShared(ctx, a.source.Node, a.cluster.facts.Mounted); err != nil {
		return err
	}
	a.ca = a.shared.ca
	for _, n := range a.cfg.Nodes {
		runtime, err := a.kubeadmRuntime(n)
		if err != nil {
			return err
		}
		a.parts[n.Name], err = kubeadm.RenderJoin(kubeadm.JoinInput{
			Cluster: a.cluster.config, Kubelet: a.cluster.kubelet, Kubernetes: a.cfg.KubernetesVersion,
			Node: n, Addrs: a.addrs[n.Name], DualStack: len(a.cfg.Networking.PodSubnets) > 1, Runtime: runtime, CA: a.ca.CACertificate(),
		})
		if err != nil {
			return fmt.Errorf("node %s: %w", n.Name, err)
		}
	}
	a.kubeadm = map[string]kubeadm.Node{}
	for name, p := range a.parts {
		a.kubeadm[name] = p.Node
	}
	return nil
}

// createNodes makes and starts all new machines at once.
func (a *addition) createNodes(ctx context.Context) error {
	env, err := a.proxies(ctx)
	if err != nil {
		return err
	}
	made := make([]provider.Node, len(a.cfg.Nodes))
	group, ctx := errgroup.WithContext(ctx)
	for i, n := range a.cfg.Nodes {
		group.Go(func() error {
			files, err := a.files(n)
			if err != nil {
				return err
			}
			spec, err := a.nodeSpec(ctx, n)
			if err != nil {
				return err
			}
			spec.Env = env
			if made[i], err = a.m.provider.CreateNode(ctx, spec); err != nil {
				return err
			}
			return a.fillAndStart(ctx, made[i], files)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, n := range made {
		a.nodes[n.Name] = n
	}
	return nil
}

// proxyNames are the variables of proxies.
var proxyNames = []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"}

// proxies are those of the node that the others are made after, with the new nodes among
// what no proxy is asked for.
func (a *addition) proxies(ctx context.Context) (map[string]string, error) {
	var out bytes.Buffer
	if err := a.m.provider.Exec(ctx, a.source.ID, provider.Command{Args: []string{"env", "--null"}, Stdout: &out}); err != nil {
		return nil, fmt.Errorf("reading the proxies of %s: %w", a.source.Name, err)
	}
	env := map[string]string{}
	for pair := range strings.SplitSeq(out.String(), "\x00") {
		name, value, _ := strings.Cut(pair, "=")
		if upper := strings.ToUpper(name); slices.Contains(proxyNames, upper) {
			if upper == "NO_PROXY" && value != "" {
				for _, n := range a.cfg.Nodes {
					value += "," + n.Name
				}
			}
			env[name] = value
		}
	}
	return env, nil
}

// files are all files of a new node before its first start.
func (a *addition) files(n config.Node) ([]nodespec.File, error) {
	told, err := a.toldTo(n)
	if err != nil {
		return nil, err
	}
	kubelet, err := a.ca.KubeletFiles(n.Name)
	if err != nil {
		return nil, err
	}
	serving, err := a.ca.KubeletServingFiles(n.Name, a.addrs[n.Name])
	if err != nil {
		return nil, err
	}
	all := slices.Concat([]nodespec.File{{Path: nodespec.NodeFile, Mode: 0o644, Data: told}}, a.shared.every, kubelet, serving, a.parts[n.Name].Files)
	if n.Role != nodespec.RoleControlPlane {
		return append(all, a.ca.WorkerFiles()...), nil
	}
	commands, err := json.Marshal(a.parts[n.Name].Commands)
	if err != nil {
		return nil, fmt.Errorf("encoding the bootstrap of %s: %w", n.Name, err)
	}
	mark := func(f nodespec.File) bool { return f.Path == nodespec.ReadyFile } // comes last; see record
	others := slices.DeleteFunc(slices.Clone(a.shared.controlPlanes), mark)
	return slices.Concat(all, a.shared.authority, others, []nodespec.File{{Path: nodespec.BootstrapFile, Mode: 0o644, Data: commands}}), nil
}

// toldTo is what a new node is told: what its model is, but for what is its own.
func (a *addition) toldTo(n config.Node) ([]byte, error) {
	told := a.source.told
	told.Name, told.Role, told.Runtime, told.OCIRuntime, told.Addrs = n.Name, n.Role, n.Runtime, n.OCIRuntime, a.addrs[n.Name]
	told.APIServers = nil
	for _, s := range apiServersOf(a.had) {
		told.APIServers = append(told.APIServers, s.Addr.String())
	}
	if n.Role == nodespec.RoleControlPlane {
		told.APIServers = append(told.APIServers, netip.AddrPortFrom(told.Addrs[0], nodespec.APIServerPort).String())
	}
	told.RuntimePatches = common(a.had, func(t nodespec.Node) []string { return t.RuntimePatches })
	told.RuntimeJSONPatches = common(a.had, func(t nodespec.Node) []string { return t.RuntimeJSONPatches })
	text, err := json.MarshalIndent(told, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encoding the configuration of node %s: %w", n.Name, err)
	}
	return text, nil
}

// common are the texts that all nodes have, in the order of the first: those of the
// cluster, and not of one node alone.
func common(nodes []member, of func(nodespec.Node) []string) []string {
	all := slices.Clone(of(nodes[0].told))
	for _, n := range nodes[1:] {
		all = slices.DeleteFunc(all, func(text string) bool { return !slices.Contains(of(n.told), text) })
	}
	return all
}

// bounded gives the time that the new nodes have to get ready.
func (a *addition) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, a.add.Wait, &timeoutError{a.add.Wait})
}

// joinControlPlanes lets the new control planes join one after the other.
func (a *addition) joinControlPlanes(ctx context.Context, step status.Step) error {
	if !a.controlPlanesAdded() {
		return status.Skip("workers have all that a join leaves")
	}
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	for _, n := range a.cfg.Nodes {
		step.Detail(n.Name)
		node := a.nodes[n.Name]
		if err := a.m.waitBooted(ctx, node); err != nil {
			return err
		}
		err := a.m.putFiles(ctx, node,
			a.parts[n.Name].Join, nodespec.File{Path: nodespec.JoinConf, Mode: 0o600, Data: a.shared.admin}, nodespec.File{Path: nodespec.JoinTurn, Mode: 0o600})
		if err != nil {
			return err
		}
		if err := a.m.provider.Exec(ctx, node.ID, provider.Command{Args: []string{"kluster-node", "await", "bootstrap"}}); err != nil {
			return fmt.Errorf("joining %s: %w", n.Name, err)
		}
	}
	return nil
}

// waitReady returns when the new nodes can be used.
func (a *addition) waitReady(ctx context.Context, step status.Step) error {
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	for _, n := range a.cfg.Nodes {
		group.Go(func() error { return a.m.waitBooted(ctx, a.nodes[n.Name]) })
	}
	group.Go(func() error {
		var missing []string
		err := a.followNodes(ctx, func(nodes map[string]*corev1.Node) (bool, error) {
			missing = a.missing(nodes)
			step.Detail(strings.Join(missing, ", "))
			return len(missing) == 0, nil
		})
		if err != nil {
			return fmt.Errorf("waiting for nodes (%s): %w", strings.Join(missing, "; "), err)
		}
		return nil
	})
	if a.controlPlanesAdded() {
		for _, n := range a.cfg.Nodes {
			group.Go(func() error { return a.waitOwnAPI(ctx, a.nodes[n.Name]) })
		}
	}
	return group.Wait()
}

// missing names the new nodes that are not what is waited for, each with why.
func (a *addition) missing(nodes map[string]*corev1.Node) []string {
	var out []string
	for _, n := range a.cfg.Nodes {
		node := nodes[n.Name]
		switch {
		case node == nil:
			out = append(out, n.Name+" is not registered")
		case a.readies && notReady(node) != "":
			out = append(out, n.Name+": "+notReady(node))
		}
	}
	return out
}

// waitOwnAPI returns when a control plane's own API server serves.
func (a *addition) waitOwnAPI(ctx context.Context, n provider.Node) error {
	last := errors.New("not asked yet")
	err := a.poll(ctx, func(ctx context.Context) (bool, error) {
		last = a.m.provider.Exec(ctx, n.ID, provider.Command{Args: []string{
			"kubectl", "--kubeconfig", AdminConf, "--server", ownAPI, "get", "--raw", "/readyz",
		}})
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for the API server of %s (%w): %w", n.Name, last, err)
	}
	return nil
}

// labelNodes labels the new nodes, and makes classes for pods that pick an OCI runtime
// which no node had before.
func (a *addition) labelNodes(ctx context.Context) error {
	if err := a.creation.labelNodes(ctx); err != nil {
		return err
	}
	table, err := addons.Load()
	if err != nil {
		return err
	}
	classes, err := table.RuntimeClasses(a.classes())
	if err != nil {
		return err
	}
	for _, o := range classes {
		if err := a.apply(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// announce tells everybody of new API servers.
func (a *addition) announce(ctx context.Context) error {
	if !a.controlPlanesAdded() {
		return status.Skip("they stay the same")
	}
	servers := apiServersOf(a.had)
	for _, n := range a.cfg.Nodes {
		node := a.nodes[n.Name]
		node.Addrs = a.addrs[n.Name]
		servers = append(servers, apiServersOf([]member{{Node: node}})...)
	}
	all, err := a.membersNow(ctx)
	if err != nil {
		return err
	}
	return a.m.tellAPIServers(ctx, all, balancers(a.machines), servers)
}

// membersNow are the cluster's nodes with the new ones.
func (a *addition) membersNow(ctx context.Context) ([]member, error) {
	machines, err := a.m.existing(ctx, a.cfg.Name)
	if err != nil {
		return nil, err
	}
	return a.m.members(ctx, machines)
}

// takeBackAPIServers tells everybody of those that were there before.
func (a *addition) takeBackAPIServers(ctx context.Context) error {
	if !a.controlPlanesAdded() {
		return nil
	}
	had, err := a.m.members(ctx, machinesIn(a.had))
	if err != nil {
		return err
	}
	return a.m.tellAPIServers(ctx, had, balancers(a.machines), apiServersOf(had))
}

// record leaves the marks by which the new nodes are the cluster's for good.
func (a *addition) record(ctx context.Context) error {
	for _, n := range a.cfg.Nodes {
		marks := []nodespec.File{{Path: nodespec.JoinedFile, Mode: 0o644}}
		if n.Role == nodespec.RoleControlPlane {
			marks = append(marks, nodespec.File{Path: nodespec.ReadyFile, Mode: 0o644, Data: []byte(a.id + "\n")})
		}
		if err := a.m.putFiles(ctx, a.nodes[n.Name], marks...); err != nil {
			return err
		}
	}
	return nil
}

// clearAdded removes the nodes of adds that were cut short. The caller has the lock, so
// that none is under way.
func (m *Manager) clearAdded(ctx context.Context, cluster string) error {
	nodes, err := m.provider.Nodes(ctx, provider.Selector{nodespec.LabelCluster: cluster, addedLabel: ""})
	if err != nil {
		return err
	}
	var half []provider.Node
	for _, n := range nodes {
		r, err := m.provider.CopyFrom(ctx, n.ID, nodespec.JoinedFile)
		switch {
		case errors.Is(err, provider.ErrNotFound):
			half = append(half, n)
		case err != nil:
			return err
		default:
			if err := r.Close(); err != nil {
				return err
			}
		}
	}
	if len(half) == 0 {
		return nil
	}
	m.reporter.Note("removing %s, whose add was cut short", strings.Join(nodeNames(half), ", "))
	return m.removeAdded(ctx, cluster, half)
}

func nodeNames(nodes []provider.Node) []string {
	var names []string
	for _, n := range nodes {
		names = append(names, n.Name)
	}
	return names
}

// removeAdded removes nodes that have not become the cluster's: their members of etcd
// while there still is a quorum, their machines, and what the API knows of them.
func (m *Manager) removeAdded(ctx context.Context, cluster string, nodes []provider.Node) error {
	if len(nodes) == 0 {
		return nil
	}
	machines, err := m.existing(ctx, cluster)
	if err != nil {
		return err
	}
	left := slices.DeleteFunc(slices.Clone(machines), func(n provider.Node) bool { return slices.Contains(nodeNames(nodes), n.Name) })
	var errs []error
	for _, n := range nodes {
		if isControlPlane(n) {
			errs = append(errs, m.forgetMember(ctx, left, n))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err // without its machine, a member that votes would be missed
	}
	if had, err := m.members(ctx, left); err != nil {
		errs = append(errs, err)
	} else {
		errs = append(errs, m.tellAPIServers(ctx, had, balancers(left), apiServersOf(had)))
	}
	for _, n := range nodes {
		errs = append(errs, m.provider.Remove(ctx, provider.Selector{nodespec.LabelCluster: cluster, nodespec.LabelNode: n.Name}))
	}
	return errors.Join(append(errs, m.deleteNodeObjects(ctx, cluster, nodeNames(nodes)))...)
}

// forgetMember removes a new node's member of etcd, if it has one by now, after making
// sure that it does not join after all.
func (m *Manager) forgetMember(ctx context.Context, left []provider.Node, n provider.Node) error {
	if n.State == provider.StateRunning {
		// It may have no systemd yet, or none any more.
		_ = m.provider.Exec(ctx, n.ID, provider.Command{Args: []string{"systemctl", "stop", "kluster-bootstrap.service"}})
	}
	members, err := m.members(ctx, left)
	if err != nil {
		return err
	}
	e, err := m.anEtcd(ctx, machinesIn(members))
	if err != nil {
		return err
	}
	list, err := e.members(ctx)
	if err != nil {
		return err
	}
	if member, ok := memberOf(list, n); ok {
		return e.remove(ctx, member)
	}
	return nil
}

// deleteNodeObjects deletes what the API knows of nodes whose machines are gone, with the
// pods that were there: nobody else would do so for some minutes.
func (m *Manager) deleteNodeObjects(ctx context.Context, cluster string, names []string) error {
	conf, err := m.Kubeconfig(ctx, cluster, false)
	if err != nil {
		return err
	}
	client, _, err := m.clients(conf)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		errs = append(errs, deleteNodeObject(ctx, client, name), deletePodsOf(ctx, client, name))
	}
	return errors.Join(errs...)
}
