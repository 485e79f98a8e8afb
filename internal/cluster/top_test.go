package cluster

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

func apiNode(name string, conditions ...corev1.NodeCondition) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.NodeStatus{Conditions: conditions}}
}

func podOn(name, node string, phase corev1.PodPhase) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec:       corev1.PodSpec{NodeName: node}, Status: corev1.PodStatus{Phase: phase},
	}
}

func TestTop(t *testing.T) {
	p := engine(t)
	m := manager(t, p)
	for _, n := range []struct {
		name string
		role nodespec.Role
	}{{"c-control-plane-1", nodespec.RoleControlPlane}, {"c-worker-1", nodespec.RoleWorker}, {"c-worker-2", nodespec.RoleWorker}, {"c-lb", nodespec.RoleLoadBalancer}} {
		node, err := p.CreateNode(t.Context(), provider.NodeSpec{Name: n.name, Image: testImage, Labels: map[string]string{
			nodespec.LabelCluster: "c", nodespec.LabelRole: string(n.role),
		}})
		if err != nil {
			t.Fatal(err)
		}
		if n.name == "c-worker-2" {
			continue // it is down
		}
		if err := p.StartNode(t.Context(), node.ID); err != nil {
			t.Fatal(err)
		}
	}
	began, looks := time.Now(), 0
	p.Uses = func(provider.Node) provider.Use {
		looks++
		turn := time.Duration((looks - 1) / 3) // three nodes run
		return provider.Use{At: began.Add(turn * time.Second), CPU: turn * 250 * time.Millisecond, Memory: 100, MemoryLimit: 1000}
	}
	client := fake.NewClientset(
		apiNode("c-control-plane-1", corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionTrue}, corev1.NodeCondition{Type: corev1.NodeDiskPressure, Status: corev1.ConditionTrue}),
		apiNode("c-worker-2", corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionUnknown, Reason: "NodeStatusUnknown"}),
		podOn("a", "c-control-plane-1", corev1.PodRunning), podOn("b", "c-control-plane-1", corev1.PodSucceeded), podOn("c", "c-control-plane-1", corev1.PodPending),
	)
	looker := &top{m: m, cluster: "c", host: p.HostInfo, before: map[string]provider.Use{}, client: client}
	if u, err := looker.Look(t.Context()); err != nil || u.CPU != 0 || u.Memory != 300 {
		t.Fatalf("first look: %+v, %v", u, err)
	}
	u, err := looker.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]NodeUse{}
	for _, n := range u.Nodes {
		byName[n.Name] = n
	}
	if u.CPU != 0.75 || u.CPUs != 4 || u.Problem != "" || len(u.Nodes) != 4 {
		t.Errorf("%+v", u)
	}
	if n := byName["c-control-plane-1"]; n.Ready != "True" || n.Pods == nil || *n.Pods != 2 || strings.Join(n.Conditions, ",") != "DiskPressure" || n.CPU != 0.25 {
		t.Errorf("%+v", n)
	}
	if n := byName["c-worker-2"]; n.State != "created" || n.Ready != "Unknown" || strings.Join(n.Conditions, ",") != "NodeStatusUnknown" || n.Memory != 0 {
		t.Errorf("%+v", n)
	}
	if n := byName["c-worker-1"]; strings.Join(n.Conditions, ",") != "NotRegistered" || n.Pods != nil {
		t.Errorf("%+v", n)
	}
	if n := byName["c-lb"]; n.Pods != nil || n.Ready != "" || n.State != "running" {
		t.Errorf("%+v", n)
	}

	// The API goes: what the engine tells stays.
	client.PrependReactor("list", "nodes", func(k8stesting.Action) (bool, runtime.Object, error) { return true, nil, errors.New("refused") })
	if u, err = looker.Look(t.Context()); err != nil || !strings.Contains(u.Problem, "refused") || u.Memory != 300 || u.Nodes[0].Ready != "" {
		t.Errorf("%+v, %v", u, err)
	}
	// And a new client is tried.
	m.clients = func([]byte) (kubernetes.Interface, dynamic.Interface, error) {
		return nil, nil, errors.New("no client")
	}
	if u, err = looker.Look(t.Context()); err != nil || u.Problem == "" {
		t.Errorf("%+v, %v", u, err)
	}
	// A node of which the engine does not tell has a problem of its own.
	p.Fail = func(op, _ string) error {
		if op == "Use" {
			return errors.New("hangs")
		}
		return nil
	}
	if u, err = looker.Look(t.Context()); err != nil || !strings.Contains(u.Nodes[0].Problem, "hangs") {
		t.Errorf("%+v, %v", u, err)
	}
	p.Fail = nil
	if err := p.Remove(context.Background(), provider.Selector{nodespec.LabelCluster: "c"}); err != nil {
		t.Fatal(err)
	}
	var gone *NotFoundError
	if _, err := looker.Look(t.Context()); !errors.As(err, &gone) {
		t.Errorf("err = %v", err)
	}
}

func TestProcessors(t *testing.T) {
	at := func(s float64, cpu time.Duration) provider.Use {
		return provider.Use{At: time.Unix(0, 0).Add(time.Duration(s * float64(time.Second))), CPU: cpu}
	}
	for name, c := range map[string]struct {
		before, now provider.Use
		want        float64
	}{
		"half of one":    {at(1, time.Second), at(3, 2*time.Second), 0.5},
		"two":            {at(1, 0), at(2, 2*time.Second), 2},
		"the first look": {provider.Use{}, at(2, time.Second), 0},
		"it stopped":     {at(1, time.Second), provider.Use{}, 0},
		"started anew":   {at(1, time.Minute), at(2, time.Second), 0},
		"the same time":  {at(1, 0), at(1, time.Second), 0},
	} {
		if got := processors(c.before, c.now); got != c.want {
			t.Errorf("%s: %v, not %v", name, got, c.want)
		}
	}
}
