package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"

	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
	"github.com/kluster-project/kluster/provider/providertest"
)

// swapping is a cluster "c" whose nodes change their runtimes when they are told to,
// and tell the API of it when their kubelet starts.
type swapping struct {
	*providertest.Provider
	m      *Manager
	client *fake.Clientset

	mu       sync.Mutex
	commands []string          // "NODE: COMMAND", reads left out
	uses     map[string]string // node name to what is configured
	// broken commands fail; hung ones only end when they are told to.
	broken, hung string
	// budgets refuse evictions of pods by name.
	budgets map[string]bool
	evicted []string
	returns string // a pod that comes back to c-2 under another name
	applied []string
}

// allRuntimes is the manifest of an image that holds everything.
var allRuntimes = nodespec.Manifest{
	Kubernetes: "v1.36.3", Runtimes: cri.Names(), Components: []nodespec.ComponentRecord{{Name: "runc"}, {Name: "crun"}},
}

// newSwapping makes it of nodes by name, with pods.
func newSwapping(t *testing.T, nodes map[string]nodespec.Role, objects ...runtime.Object) *swapping {
	t.Helper()
	s := &swapping{Provider: engine(t), client: fake.NewClientset(objects...), uses: map[string]string{}, budgets: map[string]bool{}}
	s.m = manager(t, s.Provider)
	nodes = cloneWith(nodes, "c-lb", nodespec.RoleLoadBalancer)
	for name, role := range nodes {
		s.addNode(t, name, role, allRuntimes)
	}
	s.Handle = s.handle
	s.client.PrependReactor("create", "pods", s.eviction)
	scheme := dynamicfake.NewSimpleDynamicClient(runtime.NewScheme())
	scheme.PrependReactor("patch", "*", func(a ktesting.Action) (bool, runtime.Object, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.applied = append(s.applied, a.(ktesting.PatchAction).GetName())
		return true, nil, nil
	})
	s.m.clients = func([]byte) (kubernetes.Interface, dynamic.Interface, error) { return s.client, scheme, nil }
	return s
}

func cloneWith(nodes map[string]nodespec.Role, name string, role nodespec.Role) map[string]nodespec.Role {
	all := map[string]nodespec.Role{name: role}
	for n, r := range nodes {
		all[n] = r
	}
	return all
}

func (s *swapping) addNode(t *testing.T, name string, role nodespec.Role, image nodespec.Manifest) {
	t.Helper()
	manifest, err := json.Marshal(image)
	if err != nil {
		t.Fatal(err)
	}
	spec := provider.NodeSpec{Name: name, Image: testImage, Restart: true, Labels: map[string]string{
		nodespec.LabelCluster: "c", nodespec.LabelRole: string(role), nodespec.LabelManifest: string(manifest),
		nodespec.LabelProtocol: fmt.Sprint(nodespec.Protocol),
	}}
	if role == nodespec.RoleLoadBalancer {
		spec.Ports = []provider.Port{{NodePort: nodespec.APIPort, HostPort: 40000, Protocol: "tcp"}}
	}
	n, err := s.CreateNode(t.Context(), spec)
	if err == nil {
		err = s.StartNode(t.Context(), n.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	if role == nodespec.RoleLoadBalancer {
		return
	}
	told, err := json.Marshal(nodespec.Node{Cluster: "c", Name: name, Role: role, Runtime: "containerd"})
	if err != nil {
		t.Fatal(err)
	}
	for path, data := range map[string][]byte{nodespec.NodeFile: told, AdminConf: []byte(adminConf)} {
		if err := s.WriteFile(n.ID, path, data); err != nil {
			t.Fatal(err)
		}
	}
	s.uses[name] = "containerd"
	if err := s.client.Tracker().Add(&corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{criSocketAnnotation: "unix:///run/containerd/containerd.sock"}},
		Status:     s.status("containerd"),
	}); err != nil {
		t.Fatal(err)
	}
}

const adminConf = `apiVersion: v1
kind: Config
current-context: a
contexts: [{name: a, context: {cluster: a, user: a}}]
clusters: [{name: a, cluster: {server: "https://c-api:16443"}}]
users: [{name: a, user: {}}]
`

func (s *swapping) status(name string) corev1.NodeStatus {
	r, _ := cri.Get(name)
	return corev1.NodeStatus{
		NodeInfo:   corev1.NodeSystemInfo{ContainerRuntimeVersion: r.Reports + "://1.0"},
		Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: metav1.Now()}},
	}
}

// handle is what the nodes do.
func (s *swapping) handle(ctx context.Context, n provider.Node, cmd provider.Command) int {
	line := strings.TrimSpace(strings.Join(cmd.Args, " "))
	s.mu.Lock()
	s.commands = append(s.commands, n.Name+": "+line)
	broken, hung := s.broken != "" && strings.Contains(line, s.broken), s.hung != "" && strings.Contains(line, s.hung)
	s.mu.Unlock()
	if hung {
		<-ctx.Done()
		return 1
	}
	if broken {
		return 1
	}
	switch {
	case strings.HasPrefix(line, "kluster-node runtime use "):
		s.uses[n.Name] = cmd.Args[3]
	case strings.HasPrefix(line, "kluster-node runtime record "):
		return s.told(n, cmd.Args[3], cmd.Args[4])
	case line == "kluster-node runtime restore":
		told, err := s.m.told(ctx, n)
		if err != nil {
			return 1
		}
		s.uses[n.Name] = told.Runtime
		return s.report(ctx, n.Name)
	case line == "systemctl start kubelet":
		return s.report(ctx, n.Name)
	}
	return 0
}

func (s *swapping) told(n provider.Node, name, oci string) int {
	told, err := json.Marshal(nodespec.Node{Cluster: "c", Name: n.Name, Runtime: name, OCIRuntime: oci})
	if err != nil || s.WriteFile(n.ID, nodespec.NodeFile, told) != nil {
		return 1
	}
	return 0
}

// report is a kubelet that has started.
func (s *swapping) report(ctx context.Context, name string) int {
	n, err := s.client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return 1
	}
	n.Status = s.status(s.uses[name])
	if _, err := s.client.CoreV1().Nodes().Update(ctx, n, metav1.UpdateOptions{}); err != nil {
		return 1
	}
	return 0
}

// eviction deletes a pod unless a budget forbids it.
func (s *swapping) eviction(a ktesting.Action) (bool, runtime.Object, error) {
	if a.GetSubresource() != "eviction" {
		return false, nil, nil
	}
	eviction := a.(ktesting.CreateAction).GetObject().(*policyv1.Eviction)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.budgets[eviction.Name] {
		return true, nil, apierrors.NewTooManyRequests("it would violate the pod's disruption budget", 0)
	}
	if len(eviction.DeleteOptions.DryRun) > 0 {
		return true, nil, nil
	}
	s.evicted = append(s.evicted, eviction.Name)
	if s.returns == eviction.Name {
		again := pod(eviction.Name+"-again", "c-2", "ReplicaSet")
		again.UID = "again"
		if err := s.client.Tracker().Add(again); err != nil {
			return true, nil, err
		}
	}
	return true, nil, s.client.Tracker().Delete(corev1.SchemeGroupVersion.WithResource("pods"), eviction.Namespace, eviction.Name)
}

func (s *swapping) swap(ctx context.Context, opt SwapOptions) ([]Swapped, error) {
	opt.Cluster = "c"
	if opt.Timeout == 0 {
		opt.Timeout = 10 * time.Second
	}
	return s.m.SwapRuntime(ctx, opt)
}

// state is what the cluster looks like: records, labels, cordons.
func (s *swapping) state(t *testing.T) string {
	t.Helper()
	all, err := s.m.Runtimes(t.Context(), "c")
	if err != nil {
		t.Fatal(err)
	}
	nodes, err := s.client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for i, n := range nodes.Items {
		lines = append(lines, fmt.Sprint(n.Name, " ", all[i].Runtime, " ", all[i].OCIRuntime, " ", n.Status.NodeInfo.ContainerRuntimeVersion,
			" ", n.Annotations[criSocketAnnotation], " ", n.Labels["oci.kluster.dev/runc"], n.Labels["oci.kluster.dev/crun"], " cordoned:", n.Spec.Unschedulable))
	}
	return strings.Join(lines, "\n")
}

var three = map[string]nodespec.Role{
	"c-1": nodespec.RoleControlPlane, "c-2": nodespec.RoleControlPlane, "c-3": nodespec.RoleControlPlane,
}

func pod(name, node string, owner string) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "x", Labels: map[string]string{"app": name}},
		Spec:       corev1.PodSpec{NodeName: node}, Status: corev1.PodStatus{Phase: corev1.PodRunning},
	}
	if owner != "" {
		yes := true
		p.OwnerReferences = []metav1.OwnerReference{{Kind: owner, Name: name, Controller: &yes}}
	}
	return p
}

func static(name, node string) *corev1.Pod {
	p := pod(name, node, "Node")
	p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
	return p
}

func TestSwapOfANode(t *testing.T) {
	s := newSwapping(t, three, pod("web", "c-2", "ReplicaSet"), pod("proxy", "c-2", "DaemonSet"), static("etcd", "c-2"), pod("elsewhere", "c-1", "ReplicaSet"))
	got, err := s.swap(t.Context(), SwapOptions{Nodes: []string{"c-2"}, Runtime: "cri-o", OCIRuntime: "crun"})
	if err != nil {
		t.Fatal(err)
	}
	want := []Swapped{{Node: "c-2", From: "containerd with runc", To: "cri-o with crun", Swapped: true}}
	got[0].Seconds = 0
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"web"}, s.evicted); diff != "" {
		t.Errorf("evicted: %s", diff)
	}
	if diff := cmp.Diff([]string{
		"c-2: systemctl stop kubelet", "c-2: kluster-node runtime stop containerd", "c-2: kluster-node runtime use cri-o crun",
		"c-2: kluster-node runtime start cri-o crun", "c-2: systemctl start kubelet",
		"c-2: kubectl --kubeconfig /etc/kubernetes/admin.conf --server https://127.0.0.1:6443 get --raw /readyz",
		"c-2: kluster-node runtime record cri-o crun",
	}, s.commands); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"runc", "crun"}, s.applied); diff != "" {
		t.Errorf("classes: %s", diff)
	}
	if state := s.state(t); !strings.Contains(state, "c-2 cri-o crun cri-o://1.0 unix:///var/run/crio/crio.sock truetrue cordoned:false") || s.locked(t.Context(), t) {
		t.Error(state)
	}
	if infos, err := s.m.NodesNow(t.Context(), "c"); err != nil || runtimesOf(infos) != "containerd,cri-o" {
		t.Errorf("%+v, %v", infos, err)
	}

	// Again is nothing; to a runtime without classes takes the labels away.
	before := len(s.commands)
	if got, err := s.swap(t.Context(), SwapOptions{Nodes: []string{"c-2"}, Runtime: "cri-o"}); err != nil || got[0].Swapped || len(s.commands) != before {
		t.Errorf("a second time: %+v, %v, %q", got, err, s.commands[before:])
	}
	if _, err := s.swap(t.Context(), SwapOptions{Runtime: "cri-dockerd"}); err != nil {
		t.Fatal(err)
	}
	if state := s.state(t); strings.Count(state, "docker://1.0 unix:///run/cri-dockerd.sock  cordoned:false") != 3 || !strings.Contains(state, "c-2 cri-dockerd crun") {
		t.Error(state)
	}
}

func TestSwapOfANodeThatPodsComeBackTo(t *testing.T) {
	s := newSwapping(t, three, pod("stubborn", "c-2", "ReplicaSet"))
	s.returns = "stubborn"
	if _, err := s.swap(t.Context(), SwapOptions{Nodes: []string{"c-2"}, Runtime: "cri-o"}); err != nil || len(s.evicted) != 1 {
		t.Errorf("%v; evicted %q", err, s.evicted)
	}
}

func TestSwapLeavesACordonAlone(t *testing.T) {
	s := newSwapping(t, three)
	n, err := s.client.CoreV1().Nodes().Get(t.Context(), "c-1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	n.Spec.Unschedulable = true
	if _, err := s.client.CoreV1().Nodes().Update(t.Context(), n, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.swap(t.Context(), SwapOptions{Nodes: []string{"c-1"}, Runtime: "cri-o"}); err != nil {
		t.Fatal(err)
	}
	if state := s.state(t); !strings.Contains(state, "c-1 cri-o runc cri-o://1.0 unix:///var/run/crio/crio.sock truetrue cordoned:true") {
		t.Error(state)
	}
}

func TestSwapGoesBack(t *testing.T) {
	for _, broken := range []string{"stop kubelet", "runtime stop", "runtime use", "runtime start", "start kubelet", "runtime record cri-o"} {
		t.Run(broken, func(t *testing.T) {
			s := newSwapping(t, three)
			before := s.state(t)
			s.broken = broken
			done, err := s.swap(t.Context(), SwapOptions{Runtime: "cri-o"})
			if err == nil || len(done) != 0 || !strings.Contains(err.Error(), "the node has containerd with runc as before") || failure.Code(err) != failure.CodeFailed {
				t.Errorf("%v, %v", done, err)
			}
			after := strings.ReplaceAll(s.state(t), " truetrue ", "  ") // labels of the former runtime
			if diff := cmp.Diff(before, after); diff != "" || s.locked(t.Context(), t) {
				t.Errorf("locked %v: %s", s.locked(t.Context(), t), diff)
			}
			if slices.ContainsFunc(s.commands, func(c string) bool { return !strings.HasPrefix(c, "c-1: ") }) {
				t.Errorf("other nodes were touched: %q", s.commands)
			}
		})
	}
}

func TestSwapInterruptedGoesBack(t *testing.T) {
	for _, hung := range []string{"runtime stop", "runtime start", "get --raw /readyz"} {
		t.Run(hung, func(t *testing.T) {
			s := newSwapping(t, three)
			s.hung = hung
			ctx, cancel := context.WithCancelCause(t.Context())
			go func() {
				for !slices.ContainsFunc(s.seen(), func(c string) bool { return strings.Contains(c, hung) }) {
					time.Sleep(time.Millisecond)
				}
				s.mu.Lock()
				s.hung = ""
				s.mu.Unlock()
				cancel(failure.ErrInterrupted)
			}()
			_, err := s.swap(ctx, SwapOptions{Runtime: "cri-o"})
			if !errors.Is(err, failure.ErrInterrupted) || !strings.Contains(err.Error(), "as before") {
				t.Errorf("err = %v", err)
			}
			if state := s.state(t); strings.Contains(state, "cri-o") || strings.Contains(state, "cordoned:true") || s.locked(t.Context(), t) {
				t.Error(state)
			}
		})
	}
}

func (s *swapping) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.commands)
}

func TestSwapSaysHowToGoBackByHand(t *testing.T) {
	s := newSwapping(t, three)
	s.broken = "runtime" // both ways
	_, err := s.swap(t.Context(), SwapOptions{Runtime: "cri-o"})
	if hints := strings.Join(failure.Hints(err), "\n"); !strings.Contains(hints, "kluster exec c-1 -- kluster-node runtime restore") || !strings.Contains(hints, "uncordon c-1") {
		t.Errorf("%v; hints: %s", err, hints)
	}
}

func TestSwapsThatAreRefused(t *testing.T) {
	budget := &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: "all-of-it", Namespace: "x"},
		Spec:       policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}},
		Status:     policyv1.PodDisruptionBudgetStatus{ExpectedPods: 1, DesiredHealthy: 1, CurrentHealthy: 1},
	}
	for name, tt := range map[string]struct {
		nodes   map[string]nodespec.Role
		objects []runtime.Object
		prepare func(t *testing.T, s *swapping)
		opt     SwapOptions
		code    int
		err     string
	}{
		"an unknown runtime":      {three, nil, nil, SwapOptions{Runtime: "rkt"}, failure.CodeUsage, `unknown container runtime "rkt"`},
		"an unknown OCI runtime":  {three, nil, nil, SwapOptions{Runtime: "cri-o", OCIRuntime: "kata"}, failure.CodeUsage, `unknown OCI runtime "kata"`},
		"no such node":            {three, nil, nil, SwapOptions{Runtime: "cri-o", Nodes: []string{"c-9"}}, failure.CodeUsage, `no node "c-9"`},
		"the load balancer":       {three, nil, nil, SwapOptions{Runtime: "cri-o", Nodes: []string{"c-lb"}}, failure.CodeUsage, "c-lb is the load balancer"},
		"the only node":           {map[string]nodespec.Role{"c-1": nodespec.RoleControlPlane}, nil, nil, SwapOptions{Runtime: "cri-o"}, failure.CodeUsage, "only node"},
		"pods that would be lost": {three, []runtime.Object{pod("alone", "c-1", "")}, nil, SwapOptions{Runtime: "cri-o"}, failure.CodeUsage, "would be lost: x/alone"},
		"an image that does not hold it": {nil, nil, func(t *testing.T, s *swapping) {
			t.Helper()
			small := allRuntimes
			small.Runtimes = []string{"containerd"}
			s.addNode(t, "c-1", nodespec.RoleControlPlane, small)
			s.addNode(t, "c-2", nodespec.RoleWorker, small)
		}, SwapOptions{Runtime: "cri-o"}, failure.CodeUsage, "holds containerd, not the container runtime cri-o"},
		"a node that is down": {three, nil, func(t *testing.T, s *swapping) {
			t.Helper()
			if err := s.StopNode(t.Context(), "c-2", 0); err != nil {
				t.Fatal(err)
			}
		}, SwapOptions{Runtime: "cri-o", Nodes: []string{"c-2"}}, failure.CodeHost, "it is stopped"},
		"a quorum that would be lost": {three, nil, func(t *testing.T, s *swapping) {
			t.Helper()
			if err := s.StopNode(t.Context(), "c-2", 0); err != nil {
				t.Fatal(err)
			}
		}, SwapOptions{Runtime: "cri-o", Nodes: []string{"c-1"}}, failure.CodeHost, "control plane c-2 is stopped"},
		"a budget that never allows it": {three, []runtime.Object{pod("web", "c-3", "ReplicaSet"), budget}, func(_ *testing.T, s *swapping) {
			s.budgets["web"] = true
		}, SwapOptions{Runtime: "cri-o"}, failure.CodeHost, "PodDisruptionBudget x/all-of-it"},
		"a budget that does not allow it in time": {three, []runtime.Object{pod("web", "c-1", "ReplicaSet")}, func(_ *testing.T, s *swapping) {
			s.budgets["web"] = true
		}, SwapOptions{Runtime: "cri-o", Timeout: 300 * time.Millisecond}, failure.CodeHost, "x/web"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSwapping(t, tt.nodes, tt.objects...)
			if tt.prepare != nil {
				tt.prepare(t, s)
			}
			before := s.state(t)
			_, err := s.swap(t.Context(), tt.opt)
			if err == nil || failure.Code(err) != tt.code || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("code %d, err = %v", failure.Code(err), err)
			}
			if diff := cmp.Diff(before, s.state(t)); diff != "" || len(s.commands) > 0 || len(s.evicted) > 0 || s.locked(t.Context(), t) {
				t.Errorf("changed: %s%q %q", diff, s.commands, s.evicted)
			}
		})
	}
}

func TestSwapForced(t *testing.T) {
	s := newSwapping(t, map[string]nodespec.Role{"c-1": nodespec.RoleControlPlane}, pod("alone", "c-1", ""))
	if _, err := s.swap(t.Context(), SwapOptions{Runtime: "cri-o", Force: true}); err != nil {
		t.Fatal(err)
	}
	if state := s.state(t); !strings.Contains(state, "c-1 cri-o") || len(s.evicted) != 1 {
		t.Errorf("%s; evicted %q", state, s.evicted)
	}
}

func TestSwapPlanIsComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, step := range swapPlan() {
		if step.run == nil || step.Why == "" || seen[step.Name] {
			t.Errorf("step %q is not complete, or is there twice", step.Name)
		}
		seen[step.Name] = true
	}
}
