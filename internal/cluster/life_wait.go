package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/status"
	"github.com/kluster-project/kluster/internal/wait"
	"github.com/kluster-project/kluster/provider"
)

// waitReady returns when the machines whose turn it is are what they were before: each
// node has said since that it is Ready, and the API servers of control planes serve.
func (l *lifecycle) waitReady(ctx context.Context, step status.Step) error {
	if err := l.reaches(ctx); err != nil {
		return err
	}
	var why []string
	err := l.until(ctx, func(ctx context.Context) bool {
		why = l.unready(ctx)
		step.Detail(strings.Join(why, "; "))
		return len(why) == 0
	})
	if err != nil {
		return fmt.Errorf("waiting for nodes (%s): %w", strings.Join(why, "; "), err)
	}
	step.Detail("API servers")
	return l.each(isControlPlaneMachine, func(n *machine) error {
		var last error
		err := l.until(ctx, func(ctx context.Context) bool {
			last = l.ownAPIServes(ctx, n)
			return last == nil
		})
		if err != nil {
			return fmt.Errorf("waiting for the API server of %s (%w): %w", n.Name, last, err)
		}
		return nil
	})
}

func isControlPlaneMachine(n *machine) bool { return isControlPlane(n.Node) }

// reaches makes the client that the wait asks. It goes through the load balancer.
func (l *lifecycle) reaches(ctx context.Context) error {
	i := slices.IndexFunc(l.machines, func(n *machine) bool { return isLoadBalancer(n.Node) })
	if i >= 0 && !isUp(l.machines[i]) {
		lb := l.machines[i]
		return unfitError(fmt.Errorf("nodes cannot be waited for while the load balancer %s is %s", lb.Name, lb.State), "kluster node start %s", lb.Name)
	}
	if l.client != nil {
		return nil
	}
	conf, err := l.m.Kubeconfig(ctx, l.opt.Cluster, false)
	if err != nil {
		return err
	}
	l.client, _, err = l.m.clients(conf)
	return err
}

// until asks again and again, until it is so or ctx ends. A cluster that is deleted
// meanwhile is not waited for.
func (l *lifecycle) until(ctx context.Context, so func(context.Context) bool) error {
	looked := time.Now()
	for {
		bounded, cancel := context.WithTimeout(ctx, requestTime)
		ok := so(bounded)
		cancel()
		if ok {
			return nil
		}
		if time.Since(looked) >= deletedLook {
			looked = time.Now()
			if l.isDeleted(ctx) {
				return fmt.Errorf("cluster %q was deleted meanwhile", l.opt.Cluster)
			}
		}
		if !wait.For(ctx, 2*pollEvery) {
			return context.Cause(ctx)
		}
	}
}

// isDeleted says whether the machine that holds the cluster's name has gone, or is
// another by now.
func (l *lifecycle) isDeleted(ctx context.Context) bool {
	before := slices.IndexFunc(l.machines, func(n *machine) bool { return isLoadBalancer(n.Node) })
	if before < 0 {
		return false
	}
	nodes, err := l.m.provider.Nodes(ctx, provider.Selector{nodespec.LabelCluster: l.opt.Cluster})
	return err == nil && !slices.ContainsFunc(nodes, func(n provider.Node) bool { return n.ID == l.machines[before].ID })
}

// unready says what is not yet as it shall be.
func (l *lifecycle) unready(ctx context.Context) []string {
	nodes, leases, err := l.heard(ctx)
	if err != nil {
		return []string{"the API does not answer: " + err.Error()}
	}
	var out []string
	for _, n := range l.turn {
		if isLoadBalancer(n.Node) || n.life.Ready || !isUp(n) {
			continue
		}
		if why := l.whyNot(ctx, n, nodes[n.Name], leases[n.Name]); why != "" {
			out = append(out, n.Name+": "+why)
			continue
		}
		n.life.Ready, n.life.Seconds = true, time.Since(n.began).Seconds()
	}
	return out
}

// heard gives what the API knows of nodes, by name.
func (l *lifecycle) heard(ctx context.Context) (map[string]*corev1.Node, map[string]*coordinationv1.Lease, error) {
	list, err := l.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, nil, err
	}
	renewed, err := l.client.CoordinationV1().Leases(corev1.NamespaceNodeLease).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, nil, err
	}
	nodes, leases := map[string]*corev1.Node{}, map[string]*coordinationv1.Lease{}
	for i := range list.Items {
		nodes[list.Items[i].Name] = &list.Items[i]
	}
	for i := range renewed.Items {
		leases[renewed.Items[i].Name] = &renewed.Items[i]
	}
	return nodes, leases, nil
}

// whyNot says why a node is not yet back; "" if it is.
func (l *lifecycle) whyNot(ctx context.Context, m *machine, n *corev1.Node, lease *coordinationv1.Lease) string {
	switch {
	case n == nil:
		return "it is not registered"
	case m.resumed && !renewedSince(lease, m.since), !m.resumed && !toldSince(n, m.since):
		return "nothing was heard of its kubelet"
	}
	why := notReady(n)
	if strings.Contains(why, "NetworkPluginNotReady") && l.hasNoPodNetwork(ctx, m) {
		return "" // which is not kluster's to start
	}
	return why
}

// toldSince says whether a kubelet has told of its node since it was started. Times of
// a node's status are whole seconds, and no kubelet starts in less.
func toldSince(n *corev1.Node, since time.Time) bool {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.LastHeartbeatTime.Time.Truncate(time.Second).After(since.Truncate(time.Second))
		}
	}
	return false
}

// renewedSince says whether a kubelet that goes on has been heard of. It tells of its
// node's status only every few minutes, when that has not changed.
func renewedSince(lease *coordinationv1.Lease, since time.Time) bool {
	return lease != nil && lease.Spec.RenewTime != nil && lease.Spec.RenewTime.After(since)
}

// hasNoPodNetwork says whether the node was made without one: then it is Ready only if
// its user has brought one.
func (l *lifecycle) hasNoPodNetwork(ctx context.Context, n *machine) bool {
	told, err := l.m.told(ctx, n.Node)
	return err == nil && told.CNI == "none"
}
