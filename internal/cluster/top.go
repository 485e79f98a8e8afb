package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

// NodeUse is a machine of a cluster at a time.
type NodeUse struct {
	Name    string `json:"name"`
	Role    string `json:"role"`
	State   string `json:"state"`             // as the engine has it
	Runtime string `json:"runtime,omitempty"` // its container runtime
	// CPU is how many processors have worked for it since the look before.
	CPU         float64 `json:"cpu"`
	Memory      int64   `json:"memory"`      // bytes, the working set
	MemoryLimit int64   `json:"memoryLimit"` // bytes
	// Pods are those on it that have not ended; nil if the API does not tell.
	Pods *int `json:"pods"`
	// Ready is the node's condition, "True", "False" or "Unknown"; "" if the API does
	// not tell. Conditions are others that hold, as "MemoryPressure", and reasons why
	// it is not ready.
	Ready      string   `json:"ready"`
	Conditions []string `json:"conditions,omitempty"`
	// Problem is why the engine tells nothing of it.
	Problem string `json:"problem,omitempty"`
}

// Use is a cluster at a time.
type Use struct {
	Cluster string    `json:"cluster"`
	Time    time.Time `json:"time"`
	// CPU and Memory (bytes) are those of all machines, and CPUs and HostMemory those
	// of the engine's.
	CPU        float64   `json:"cpu"`
	CPUs       int       `json:"cpus"`
	Memory     int64     `json:"memory"`
	HostMemory int64     `json:"hostMemory"`
	Nodes      []NodeUse `json:"nodes"`
	// Problem is why the API tells nothing.
	Problem string `json:"problem,omitempty"`
}

const (
	// topTime bounds what one look asks of the API: a view that is to be live tells
	// sooner that there is no answer.
	topTime = 2 * time.Second
	// FirstLook is how long after its first look a Looker has figures of processors.
	FirstLook = time.Second
)

// Looker looks at a cluster again and again. It is not for several goroutines.
type Looker interface {
	// Look tells how the cluster is now. A machine that is down and an API that does not
	// answer are part of it; an error is one of the engine, or *NotFoundError.
	Look(ctx context.Context) (*Use, error)
}

// top is a Looker.
type top struct {
	m       *Manager
	cluster string
	host    provider.Host
	before  map[string]provider.Use // by node ID
	client  kubernetes.Interface    // nil until there was one
}

// Top begins to look at a cluster, which must exist.
func (m *Manager) Top(ctx context.Context, cluster string) (Looker, error) {
	if _, err := m.existing(ctx, cluster); err != nil {
		return nil, err
	}
	host, err := m.provider.Host(ctx)
	return &top{m: m, cluster: cluster, host: host, before: map[string]provider.Use{}}, err
}

// Look implements Looker.
func (t *top) Look(ctx context.Context) (*Use, error) {
	machines, err := t.m.machines(ctx, t.cluster)
	if err != nil {
		return nil, err
	}
	if len(machines) == 0 {
		return nil, t.m.noSuchCluster(ctx, t.cluster)
	}
	u := &Use{Cluster: t.cluster, Time: time.Now(), CPUs: t.host.CPUs, HostMemory: t.host.Memory}
	var view apiView
	var apiErr error
	var asked sync.WaitGroup
	asked.Go(func() { view, apiErr = t.askAPI(ctx) })
	u.Nodes = t.uses(ctx, machines)
	asked.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if apiErr != nil {
		u.Problem = apiErr.Error()
	}
	for i := range u.Nodes {
		n := &u.Nodes[i]
		u.CPU, u.Memory = u.CPU+n.CPU, u.Memory+n.Memory
		if apiErr == nil && n.Role != string(nodespec.RoleLoadBalancer) {
			view.describe(n)
		}
	}
	return u, nil
}

// uses asks the engine for all machines at once.
func (t *top) uses(ctx context.Context, machines []provider.Node) []NodeUse {
	uses, now := make([]NodeUse, len(machines)), make([]provider.Use, len(machines))
	infos := t.m.describe(ctx, machines)
	var group errgroup.Group
	for i, n := range machines {
		group.Go(func() error {
			uses[i] = NodeUse{Name: n.Name, Role: n.Labels[nodespec.LabelRole], State: string(n.State), Runtime: infos[i].Runtime}
			var err error
			if now[i], err = t.m.provider.Use(ctx, n.ID); err != nil && !errors.Is(err, provider.ErrNotFound) {
				uses[i].Problem = err.Error()
			}
			uses[i].Memory, uses[i].MemoryLimit = now[i].Memory, now[i].MemoryLimit
			uses[i].CPU = processors(t.before[n.ID], now[i])
			return nil
		})
	}
	_ = group.Wait() // each tells its own problem
	clear(t.before)
	for i, n := range machines {
		t.before[n.ID] = now[i]
	}
	return uses
}

// processors is how many worked between two looks: 0 if one of them saw nothing, or a
// node that was started anew between them.
func processors(before, now provider.Use) float64 {
	passed := now.At.Sub(before.At)
	if before.At.IsZero() || now.At.IsZero() || passed <= 0 || now.CPU < before.CPU {
		return 0
	}
	return float64(now.CPU-before.CPU) / float64(passed)
}

// apiView is what the API tells.
type apiView struct {
	nodes map[string]corev1.Node
	pods  map[string]int // by node
}

func (t *top) askAPI(ctx context.Context) (v apiView, err error) {
	silent := fmt.Errorf("no answer within %s", topTime)
	bounded, cancel := context.WithTimeoutCause(ctx, topTime, silent)
	defer cancel()
	defer func() {
		if err != nil {
			t.client = nil // its credentials or its address may be of a cluster that was made anew
			if errors.Is(context.Cause(bounded), silent) {
				err = silent
			}
			err = fmt.Errorf("the API tells nothing: %w", err)
		}
	}()
	if t.client == nil {
		conf, err := t.m.Kubeconfig(bounded, t.cluster, false)
		if err != nil {
			return v, err
		}
		if t.client, _, err = t.m.clients(conf); err != nil {
			return v, err
		}
	}
	cached := metav1.ListOptions{ResourceVersion: "0"} // from the API server's memory
	nodes, err := t.client.CoreV1().Nodes().List(bounded, cached)
	if err != nil {
		return v, err
	}
	pods, err := t.client.CoreV1().Pods(metav1.NamespaceAll).List(bounded, cached)
	if err != nil {
		return v, err
	}
	v = apiView{nodes: map[string]corev1.Node{}, pods: map[string]int{}}
	for _, n := range nodes.Items {
		v.nodes[n.Name] = n
	}
	for _, p := range pods.Items {
		if p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed {
			v.pods[p.Spec.NodeName]++
		}
	}
	return v, nil
}

// describe fills in what the API tells of a node.
func (v apiView) describe(u *NodeUse) {
	node, ok := v.nodes[u.Name]
	if !ok {
		u.Conditions = []string{"NotRegistered"}
		return
	}
	pods := v.pods[u.Name]
	u.Pods = &pods
	for _, c := range node.Status.Conditions {
		switch {
		case c.Type == corev1.NodeReady:
			u.Ready = string(c.Status)
			if c.Status != corev1.ConditionTrue {
				u.Conditions = append(u.Conditions, c.Reason)
			}
		case c.Status == corev1.ConditionTrue:
			u.Conditions = append(u.Conditions, string(c.Type))
		}
	}
	if node.Spec.Unschedulable {
		u.Conditions = append(u.Conditions, "SchedulingDisabled")
	}
	slices.Sort(u.Conditions)
}
