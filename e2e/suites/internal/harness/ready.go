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

// NotReady names the nodes that are not Ready, with the reason.
func (c *Cluster) NotReady(ctx context.Context) ([]string, error) {
	list, err := c.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var out []string
	for _, n := range list.Items {
		if r := NodeReady(n); r.Status != corev1.ConditionTrue {
			out = append(out, fmt.Sprintf("%s: %s %s", n.Name, r.Reason, r.Message))
		}
	}
	return out, nil
}

// Unheard names the nodes that have not said, since their container's last
// start, that they are Ready. What an apiserver remembers of a node that has
// been killed since does not count.
func (c *Cluster) Unheard(ctx context.Context, e *Engine) ([]string, error) {
	list, err := c.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var out []string
	for _, n := range list.Items {
		r := NodeReady(n)
		machine, err := e.Inspect(ctx, n.Name)
		if err != nil {
			return nil, err
		}
		started := machine.Started.Truncate(time.Second) // a heartbeat's precision
		if r.Status != corev1.ConditionTrue || r.LastHeartbeatTime.Time.Before(started) {
			out = append(out, fmt.Sprintf("%s: started %s, Ready=%s at %s: %s", n.Name, started, r.Status, r.LastHeartbeatTime, r.Message))
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
