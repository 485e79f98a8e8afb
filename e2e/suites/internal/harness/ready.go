package harness

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// PodReady says whether a pod takes traffic: Ready and not on its way out.
func PodReady(p *corev1.Pod) bool {
	return p.DeletionTimestamp == nil && slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// NodeReady is a node's Ready condition; its zero value means it has none yet.
func NodeReady(n corev1.Node) corev1.NodeCondition {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c
		}
	}
	return corev1.NodeCondition{}
}

// unready says why a node takes no pods, or has not said since a time that it is
// Ready; "" if it does. The taint of a node that was not Ready goes a moment later.
func unready(n corev1.Node, since time.Time) string {
	r := NodeReady(n)
	since = since.Truncate(time.Second) // a heartbeat's precision
	if r.Status != corev1.ConditionTrue || r.LastHeartbeatTime.Time.Before(since) {
		return fmt.Sprintf("%s: Ready=%s at %s, wanted since %s: %s %s", n.Name, r.Status, r.LastHeartbeatTime, since, r.Reason, r.Message)
	}
	for _, t := range n.Spec.Taints {
		if t.Key == corev1.TaintNodeNotReady || t.Key == corev1.TaintNodeUnreachable {
			return fmt.Sprintf("%s: taint %s", n.Name, t.Key)
		}
	}
	return ""
}

// NotReady names the nodes that are not Ready, with the reason.
func (c *Cluster) NotReady(ctx context.Context) ([]string, error) {
	return c.unready(ctx, func(context.Context, string) (time.Time, error) { return time.Time{}, nil })
}

// Unheard names the nodes that have not said, since their container's last
// start, that they are Ready. What an apiserver remembers of a node that has
// been killed since does not count.
func (c *Cluster) Unheard(ctx context.Context, e *Engine) ([]string, error) {
	return c.unready(ctx, func(ctx context.Context, name string) (time.Time, error) {
		machine, err := e.Inspect(ctx, name)
		return machine.Started, err
	})
}

func (c *Cluster) unready(ctx context.Context, since func(ctx context.Context, name string) (time.Time, error)) ([]string, error) {
	list, err := c.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var out []string
	for _, n := range list.Items {
		at, err := since(ctx, n.Name)
		if err != nil {
			return nil, err
		}
		if why := unready(n, at); why != "" {
			out = append(out, why)
		}
	}
	return out, nil
}

// AwaitNodes waits until every node has said, since its last start, that it is
// Ready.
func (c *Cluster) AwaitNodes(ctx context.Context, e *Engine, within time.Duration) {
	ginkgo.GinkgoHelper()
	gomega.Eventually(ctx, func(ctx context.Context) ([]string, error) { return c.Unheard(ctx, e) }).
		WithTimeout(within).Should(gomega.BeEmpty(), "all nodes Ready")
}

// AwaitNode waits until a node's kubelet has said, since a time, that it is Ready.
func (c *Cluster) AwaitNode(ctx context.Context, name string, since time.Time, within time.Duration) {
	ginkgo.GinkgoHelper()
	gomega.Eventually(ctx, func(ctx context.Context) (string, error) {
		n, err := c.Client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		return unready(*n, since), nil
	}).WithTimeout(within).Should(gomega.BeEmpty(), "node %s Ready", name)
}

// Deploy makes a Deployment and waits until it is fully available.
func (c *Cluster) Deploy(ctx context.Context, ns string, d *appsv1.Deployment) {
	ginkgo.GinkgoHelper()
	_, err := c.Client.AppsV1().Deployments(ns).Create(ctx, d, metav1.CreateOptions{})
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	c.AwaitDeployment(ctx, ns, d.Name)
}

// AwaitDeployment waits until a Deployment is fully available.
func (c *Cluster) AwaitDeployment(ctx context.Context, ns, name string) {
	ginkgo.GinkgoHelper()
	gomega.Eventually(ctx, func(ctx context.Context) (string, error) {
		d, err := c.Client.AppsV1().Deployments(ns).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		s := d.Status
		return missing(s.ObservedGeneration >= d.Generation, s.AvailableReplicas, s.UpdatedReplicas, s.Replicas, *d.Spec.Replicas), nil
	}).WithTimeout(PodTimeout).Should(gomega.BeEmpty(), "deployment %s/%s available", ns, name)
}

func missing(observed bool, available, updated, replicas, want int32) string {
	if observed && available == want && updated == want && replicas == want {
		return ""
	}
	return fmt.Sprintf("observed %t, available %d, updated %d, replicas %d, want %d", observed, available, updated, replicas, want)
}

// DeployEverywhere makes a DaemonSet and waits for a ready pod on every node;
// it returns them by node name.
func (c *Cluster) DeployEverywhere(ctx context.Context, ns string, d *appsv1.DaemonSet) map[string]corev1.Pod {
	ginkgo.GinkgoHelper()
	_, err := c.Client.AppsV1().DaemonSets(ns).Create(ctx, d, metav1.CreateOptions{})
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	nodes := len(c.Nodes(ctx))
	ready := map[string]corev1.Pod{}
	gomega.Eventually(ctx, func(ctx context.Context) (map[string]corev1.Pod, error) {
		list, err := c.Client.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{LabelSelector: "app=" + d.Name})
		if err != nil {
			return nil, err
		}
		clear(ready)
		for _, p := range list.Items {
			if PodReady(&p) {
				ready[p.Spec.NodeName] = p
			}
		}
		return ready, nil
	}).WithTimeout(PodTimeout).Should(gomega.HaveLen(nodes), "a ready pod of %s/%s on every node", ns, d.Name)
	return ready
}
