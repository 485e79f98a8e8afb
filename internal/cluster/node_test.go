package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"

	"github.com/kluster-project/kluster/internal/kubeconfig"
	"github.com/kluster-project/kluster/internal/loadbalancer"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

// inBubble is t.Run with time that passes at once.
func inBubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

// growing is a cluster "c" of a lab, made by a create, whose etcd and nodes do what they
// are told.
type growing struct {
	*lab
	m      *Manager
	client *fake.Clientset

	mu       sync.Mutex
	members  []etcdMember
	silent   map[string]bool // members that do not answer though their machine runs
	commands []string        // "NODE: COMMAND" of those that change something
	broken   string          // a command that fails
	deleted  []string        // nodes of the API
	bare     map[string]bool // nodes whose kubelet was stopped
	unknown  map[string]bool // nodes whose kubelet is silent
}

// grow makes it with so many nodes: three of them are control planes from three on.
func grow(t *testing.T, nodes int, objects ...runtime.Object) *growing {
	t.Helper()
	l := newLab(t)
	opt := wanted(t, "c", nodes)
	opt.Kubeconfig = l.config
	if _, err := l.manager(t, l).Create(t.Context(), opt); err != nil {
		t.Fatal(err)
	}
	g := &growing{lab: l, silent: map[string]bool{}, bare: map[string]bool{}, unknown: map[string]bool{}}
	cluster, kubelet := g.documents(t)
	g.client = fake.NewClientset(append(objects,
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kubeadm-config"}, Data: map[string]string{"ClusterConfiguration": cluster}},
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kubelet-config"}, Data: map[string]string{"kubelet": kubelet}},
	)...)
	g.client.PrependReactor("*", "nodes", g.nodeObjects)
	g.client.PrependWatchReactor("nodes", func(ktesting.Action) (bool, watch.Interface, error) {
		return true, nil, errors.New("ask again")
	})
	for _, n := range g.controlPlanes(t) {
		g.join(n)
	}
	l.Handle = g.handle
	g.m = l.manager(t, l)
	dynamicAPI := applying(t, "")
	g.m.clients = func([]byte) (kubernetes.Interface, dynamic.Interface, error) { return g.client, dynamicAPI, nil }
	return g
}

// documents are what the create's first control plane was given, which kubeadm uploads.
func (g *growing) documents(t *testing.T) (cluster, kubelet string) {
	t.Helper()
	text, err := g.ReadFile("c-control-plane-1", "/etc/kluster/kubeadm.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range strings.Split(string(text), "---\n") {
		switch {
		case strings.Contains(doc, "kind: ClusterConfiguration"):
			cluster = doc
		case strings.Contains(doc, "kind: KubeletConfiguration"):
			kubelet = doc
		}
	}
	return cluster, kubelet
}

func (g *growing) machinesNow(t *testing.T) []provider.Node {
	t.Helper()
	nodes, err := g.Nodes(t.Context(), provider.Selector{nodespec.LabelCluster: "c"})
	if err != nil {
		t.Fatal(err)
	}
	return nodes
}

func (g *growing) controlPlanes(t *testing.T) []provider.Node {
	t.Helper()
	return slices.DeleteFunc(g.machinesNow(t), func(n provider.Node) bool { return !isControlPlane(n) })
}

// join gives a control plane its member.
func (g *growing) join(n provider.Node) {
	g.members = append(g.members, etcdMember{
		ID: fmt.Sprint(100 + len(g.members)), Name: n.Name,
		PeerURLs: []string{"https://" + netip.AddrPortFrom(n.Addrs[0], etcdPeerPort).String()},
	})
}

// nodeObjects is the API's view: machines that run and whose kubelet does.
func (g *growing) nodeObjects(a ktesting.Action) (bool, runtime.Object, error) {
	machines, err := g.Nodes(context.Background(), provider.Selector{nodespec.LabelCluster: "c"})
	if err != nil {
		return true, nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	list := &corev1.NodeList{}
	for _, m := range machines {
		role := nodespec.Role(m.Labels[nodespec.LabelRole])
		if role != nodespec.RoleControlPlane && role != nodespec.RoleWorker || slices.Contains(g.deleted, m.Name) || m.State == provider.StateCreated {
			continue
		}
		status := corev1.ConditionTrue
		if g.unknown[m.Name] || m.State != provider.StateRunning {
			status = corev1.ConditionUnknown
		}
		list.Items = append(list.Items, corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: m.Name}, Spec: corev1.NodeSpec{PodCIDRs: []string{"10.244.0.0/24"}},
			Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: status}}},
		})
	}
	if a.GetVerb() == "list" {
		return true, list, nil
	}
	name := a.(interface{ GetName() string }).GetName()
	if a.GetVerb() == "delete" {
		g.deleted = append(g.deleted, name)
	}
	i := slices.IndexFunc(list.Items, func(n corev1.Node) bool { return n.Name == name })
	if i < 0 {
		return true, nil, apierrors.NewNotFound(schema.GroupResource{Resource: "nodes"}, name)
	}
	return true, &list.Items[i], nil
}

// handle is what machines do.
func (g *growing) handle(ctx context.Context, n provider.Node, cmd provider.Command) int {
	line := strings.Join(cmd.Args, " ")
	g.mu.Lock()
	broken := g.broken != "" && strings.Contains(line, g.broken)
	if cmd.Args[0] != "curl" && cmd.Args[0] != "env" {
		g.commands = append(g.commands, n.Name+": "+line)
	}
	g.mu.Unlock()
	switch {
	case broken:
		return 1
	case cmd.Args[0] == "curl":
		return g.curl(ctx, cmd)
	case cmd.Args[0] == "env":
		fmt.Fprint(cmd.Stdout, "PATH=/bin\x00NO_PROXY=a\x00http_proxy=http://proxy\x00")
	case line == "kluster-node await bootstrap":
		return g.bootstrap(n)
	case len(cmd.Args) > 2 && cmd.Args[1] == "api-servers":
		told, err := g.m.told(ctx, n)
		if err != nil {
			return 1
		}
		told.APIServers = cmd.Args[2:]
		text, err := json.Marshal(told)
		if err != nil || g.WriteFile(n.ID, nodespec.NodeFile, text) != nil {
			return 1
		}
	case strings.Contains(line, "ps --quiet"):
		fmt.Fprintln(cmd.Stdout, "abc")
	case line == "systemctl stop kubelet" || line == "systemctl start kubelet":
		g.mu.Lock()
		g.bare[n.Name] = cmd.Args[1] == "stop"
		g.mu.Unlock()
	}
	return 0
}

// bootstrap is a control plane that joins when it is its turn.
func (g *growing) bootstrap(n provider.Node) int {
	for _, file := range []string{nodespec.JoinFile, nodespec.JoinConf, nodespec.JoinTurn} {
		if _, err := g.ReadFile(n.Name, file); err != nil {
			return 1
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.join(n)
	conf, err := kubeconfig.Render(kubeconfig.Entry{Name: "admin", Server: "https://" + n.Name})
	if err != nil || g.WriteFile(n.ID, AdminConf, conf) != nil {
		return 1
	}
	return 0
}

// curl is etcd's answer.
func (g *growing) curl(ctx context.Context, cmd provider.Command) int {
	at, err := url.Parse(cmd.Args[len(cmd.Args)-1])
	if err != nil {
		return 2
	}
	machines, err := g.Nodes(ctx, provider.Selector{nodespec.LabelCluster: "c"})
	if err != nil {
		return 2
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	answers := func(m etcdMember) bool {
		i := slices.IndexFunc(machines, func(n provider.Node) bool { return n.Name == m.Name })
		return i >= 0 && machines[i].State == provider.StateRunning && !g.silent[m.Name]
	}
	asked := slices.IndexFunc(g.members, func(m etcdMember) bool { return strings.Contains(m.PeerURLs[0], "//"+at.Hostname()+":") })
	if asked < 0 || !answers(g.members[asked]) {
		return 28
	}
	voters, well := voting(g.members), 0
	for _, m := range voters {
		if answers(m) {
			well++
		}
	}
	switch at.Path {
	case "/v3/cluster/member/list":
		return reply(cmd.Stdout, map[string]any{"members": g.members})
	case "/v3/maintenance/status":
		return reply(cmd.Stdout, map[string]any{"leader": g.members[asked].ID})
	case "/v3/maintenance/transfer-leadership":
		g.commands = append(g.commands, g.members[asked].Name+": hands over")
	case "/v3/cluster/member/remove":
		i := slices.IndexFunc(g.members, func(m etcdMember) bool { return strings.Contains(strings.Join(cmd.Args, " "), `"`+m.ID+`"`) })
		if i < 0 {
			return 22
		}
		strict := !g.members[i].IsLearner && answers(g.members[i]) && well-1 < quorum(len(voters)-1)
		if strict || well < quorum(len(voters)) {
			reply(cmd.Stdout, map[string]any{"message": "etcdserver: unhealthy cluster"})
			return 22
		}
		g.members = slices.Delete(g.members, i, i+1)
	}
	return 0
}

func reply(w io.Writer, v any) int {
	if json.NewEncoder(w).Encode(v) != nil {
		return 2
	}
	return 0
}

func (g *growing) seen() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.commands)
}

// state is all that a change must leave as it was when it fails: machines, what they are
// told, etcd's members, the load balancer's backends.
func (g *growing) state(t *testing.T) string {
	t.Helper()
	var lines []string
	for _, n := range g.machinesNow(t) {
		line := fmt.Sprint(n.Name, " ", n.State, " ", n.Addrs, " without kubelet: ", g.stopped(n.Name), " ")
		if isLoadBalancer(n) {
			config, err := g.ReadFile(n.Name, nodespec.LoadBalancerConfig)
			if err != nil {
				t.Fatal(err)
			}
			backends, err := loadbalancer.Backends(config)
			line += fmt.Sprint(backends, err)
		} else {
			told, err := g.m.told(t.Context(), n)
			line += fmt.Sprint(" ", told.APIServers, err)
		}
		lines = append(lines, line)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, m := range g.members {
		lines = append(lines, "member "+m.Name)
	}
	return strings.Join(lines, "\n")
}

// stopped says whether a node's kubelet was stopped.
func (g *growing) stopped(name string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.bare[name]
}

func (g *growing) stop(t *testing.T, name string) {
	t.Helper()
	if err := g.StopNode(t.Context(), name, 0); err != nil {
		t.Fatal(err)
	}
}

func (g *growing) pause(t *testing.T, name string) {
	t.Helper()
	if err := g.PauseNode(t.Context(), name); err != nil {
		t.Fatal(err)
	}
}

func (g *growing) add(ctx context.Context, opt AddOptions) (*Added, error) {
	opt.Cluster = "c"
	if opt.Wait == 0 {
		opt.Wait = 10 * time.Second
	}
	if opt.Count == 0 {
		opt.Count = 1
	}
	if opt.Role == "" {
		opt.Role = nodespec.RoleWorker
	}
	return g.m.AddNodes(ctx, opt)
}

func (g *growing) remove(ctx context.Context, opt RemoveOptions) ([]Removed, error) {
	opt.Cluster = "c"
	if opt.Timeout == 0 {
		opt.Timeout = 10 * time.Second
	}
	return g.m.RemoveNodes(ctx, opt)
}

// file is a file of a node, "" if there is none.
func (g *growing) file(name, path string) string {
	text, err := g.ReadFile(name, path)
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(text))
}

// evict ends a pod.
func (g *growing) evict(a ktesting.Action) (bool, runtime.Object, error) {
	if a.GetSubresource() != "eviction" {
		return false, nil, nil
	}
	name := a.(ktesting.CreateAction).GetObject().(metav1.Object).GetName()
	return true, nil, g.client.Tracker().Delete(corev1.SchemeGroupVersion.WithResource("pods"), a.GetNamespace(), name)
}

// oneNode is an API that knows of a node whose machine has gone.
func oneNode(name string) ktesting.ReactionFunc {
	return func(a ktesting.Action) (bool, runtime.Object, error) {
		if a.(ktesting.GetAction).GetName() != name {
			return false, nil, nil
		}
		return true, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}, nil
	}
}
