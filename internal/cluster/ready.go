package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/trace"
)

// pollEvery is how often the API is asked while waiting: often enough not to
// show, seldom enough not to matter to an API server that has just started.
const pollEvery = 100 * time.Millisecond

// The pod that proves DNS.
const (
	probeName      = "kluster-dns-probe"
	probeNamespace = metav1.NamespaceSystem
)

// waitReady returns when the cluster can be used.
func (c *creation) waitReady(ctx context.Context) error {
	if err := c.waitNodes(ctx); err != nil {
		return err
	}
	if !c.provesDNS() {
		c.note("cni or kube-proxy is none: create waited for the API servers and the nodes' registration only; nodes get Ready when a pod network runs")
		return c.markMade(ctx)
	}
	if err := c.waitProbe(ctx); err != nil {
		return err
	}
	return c.markMade(ctx)
}

func (c *creation) note(text string) { c.notes = append(c.notes, text) }

// provesDNS says whether pods can be expected to reach a Service.
func (c *creation) provesDNS() bool {
	return c.cfg.Networking.CNI == "default" && c.cfg.Networking.KubeProxyMode != "none"
}

// waitNodes returns when all nodes are Ready, or registered when there is no
// pod network, and labelled.
func (c *creation) waitNodes(ctx context.Context) error {
	defer trace.Start(ctx, trace.Act, "API", "wait for the nodes").End()
	labelled := map[string]bool{}
	var missing []string
	err := c.poll(ctx, func(ctx context.Context) (bool, error) {
		list, err := c.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, nil // an API server that restarts is waited for
		}
		missing = c.unready(list.Items)
		for _, n := range c.cfg.Nodes {
			registered := slices.ContainsFunc(list.Items, func(o corev1.Node) bool { return o.Name == n.Name })
			if !registered || labelled[n.Name] {
				continue
			}
			if err := c.labelNode(ctx, n); err != nil {
				return false, unlessTransient(err)
			}
			labelled[n.Name] = true
		}
		c.step.Detail(strings.Join(missing, ", "))
		return len(missing) == 0, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for nodes (%s): %w", strings.Join(missing, "; "), err)
	}
	return nil
}

// unready names the nodes that are not what a create waits for, each with why.
func (c *creation) unready(nodes []corev1.Node) []string {
	var out []string
	for _, n := range c.cfg.Nodes {
		i := slices.IndexFunc(nodes, func(o corev1.Node) bool { return o.Name == n.Name })
		if i < 0 {
			out = append(out, n.Name+" is not registered")
			continue
		}
		if !c.provesDNS() {
			continue
		}
		if why := notReady(nodes[i]); why != "" {
			out = append(out, n.Name+": "+why)
		}
	}
	return out
}

func notReady(n corev1.Node) string {
	for _, cond := range n.Status.Conditions {
		if cond.Type == corev1.NodeReady {
			if cond.Status == corev1.ConditionTrue {
				return ""
			}
			return cond.Message
		}
	}
	return "no status yet"
}

func (c *creation) poll(ctx context.Context, done func(context.Context) (bool, error)) error {
	err := wait.PollUntilContextCancel(ctx, pollEvery, true, done)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}

// startProbe makes a pod that ends well once it can resolve kubernetes.default.
// It bears any taint, so that it proves the network and not the scheduling.
func (c *creation) startProbe(ctx context.Context) error {
	defer trace.Start(ctx, trace.Act, "API", "create the pod that proves DNS").End()
	no := false
	grace := int64(0)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: probeName, Namespace: probeNamespace},
		Spec: corev1.PodSpec{
			RestartPolicy:                 corev1.RestartPolicyOnFailure,
			TerminationGracePeriodSeconds: &grace,
			AutomountServiceAccountToken:  &no,
			Tolerations:                   []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			Containers: []corev1.Container{{
				Name: "resolve", Image: c.images.agnhost, ImagePullPolicy: corev1.PullNever,
				Command: []string{"sh", "-c", "until getent hosts kubernetes.default; do sleep 0.1; done"},
			}},
		},
	}
	return c.poll(ctx, func(ctx context.Context) (bool, error) {
		_, err := c.client.CoreV1().Pods(probeNamespace).Create(ctx, pod, metav1.CreateOptions{})
		switch {
		case err == nil, apierrors.IsAlreadyExists(err):
			return true, nil
		case apierrors.IsForbidden(err):
			return false, nil // the service account "default" is not there yet
		case unlessTransient(err) == nil:
			return false, nil
		default:
			return false, fmt.Errorf("creating pod %s: %w", probeName, err)
		}
	})
}

func (c *creation) waitProbe(ctx context.Context) error {
	defer trace.Start(ctx, trace.Act, "API", "wait for the pod that proves DNS").End()
	pods := c.client.CoreV1().Pods(probeNamespace)
	var last string
	err := c.poll(ctx, func(ctx context.Context) (bool, error) {
		pod, err := pods.Get(ctx, probeName, metav1.GetOptions{})
		if err != nil {
			return false, nil // an API server that restarts is waited for
		}
		last = podState(pod)
		c.step.Detail("DNS from a pod: " + last)
		return pod.Status.Phase == corev1.PodSucceeded, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for a pod to resolve kubernetes.default (pod is %s): %w", last, err)
	}
	return c.poll(ctx, func(ctx context.Context) (bool, error) {
		err := pods.Delete(ctx, probeName, *metav1.NewDeleteOptions(0))
		if err == nil || apierrors.IsNotFound(err) {
			return true, nil
		}
		if unlessTransient(err) == nil {
			return false, nil
		}
		return false, fmt.Errorf("removing pod %s: %w", probeName, err)
	})
}

// podState is a pod's phase and what its container waits for.
func podState(pod *corev1.Pod) string {
	state := strings.ToLower(string(pod.Status.Phase))
	for _, cs := range pod.Status.ContainerStatuses {
		if w := cs.State.Waiting; w != nil {
			state += ", " + strings.TrimSpace(w.Reason+" "+w.Message)
		}
	}
	return state
}

// markMade leaves the mark by which later verbs know that the create ended well.
func (c *creation) markMade(ctx context.Context) error {
	// On each control plane, so that the mark outlives any one of them.
	return c.eachNode(ctx, func(ctx context.Context, _ int, n config.Node) error {
		mark := []nodespec.File{{Path: nodespec.ReadyFile, Mode: 0o644, Data: []byte(c.id + "\n")}}
		archive, err := tarOf(mark, c.began)
		if err != nil {
			return fmt.Errorf("marking the cluster as made: %w", err)
		}
		return c.m.provider.CopyTo(ctx, c.nodes[n.Name].ID, "/", archive)
	}, nodespec.RoleControlPlane)
}
