package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/status"
	"github.com/kluster-project/kluster/internal/trace"
)

// pollEvery is how often the API is asked while waiting: often enough not to
// show, seldom enough not to matter to an API server that has just started.
const pollEvery = 100 * time.Millisecond

// waitReady returns when the cluster can be used.
func (c *creation) waitReady(ctx context.Context, step status.Step) error {
	group, waiting := errgroup.WithContext(ctx)
	group.Go(func() error { return c.waitNodes(waiting, step) })
	group.Go(func() error { return c.waitWorkersBooted(waiting) })
	if c.provesDNS() {
		group.Go(func() error { return c.proveDNS(waiting, step) })
	} else {
		c.note("cni or kube-proxy is none: create waited for the API servers and the nodes' registration only; nodes get Ready when a pod network runs")
	}
	return group.Wait()
}

// waitWorkersBooted fails as soon as a worker does.
func (c *creation) waitWorkersBooted(ctx context.Context) error {
	return c.eachNode(ctx, func(ctx context.Context, _ int, n config.Node) error {
		return c.m.waitBooted(ctx, c.nodes[n.Name])
	}, nodespec.RoleWorker)
}

func (c *creation) note(text string) { c.notes = append(c.notes, text) }

// provesDNS says whether pods can be expected to reach a Service.
func (c *creation) provesDNS() bool {
	return c.cfg.Networking.CNI == "default" && c.cfg.Networking.KubeProxyMode != "none"
}

// waitNodes returns when all nodes are Ready, or registered when there is no
// pod network.
func (c *creation) waitNodes(ctx context.Context, step status.Step) error {
	defer trace.Start(ctx, trace.Act, "API", "wait for the nodes").End()
	var missing []string
	err := c.followNodes(ctx, func(nodes map[string]*corev1.Node) (bool, error) {
		missing = c.unready(nodes)
		step.Detail(strings.Join(missing, ", "))
		return len(missing) == 0, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for nodes (%s): %w", strings.Join(missing, "; "), err)
	}
	return nil
}

// followNodes calls done with all nodes, by name, whenever one has changed, until
// it says so or fails for a reason that will not pass.
func (c *creation) followNodes(ctx context.Context, done func(map[string]*corev1.Node) (bool, error)) error {
	return c.poll(ctx, func(ctx context.Context) (bool, error) {
		list, err := c.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, nil // an API server that restarts is waited for
		}
		nodes := map[string]*corev1.Node{}
		for i := range list.Items {
			nodes[list.Items[i].Name] = &list.Items[i]
		}
		if ok, err := done(nodes); ok || err != nil {
			return ok, unlessTransient(err)
		}
		w, err := c.client.CoreV1().Nodes().Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion})
		if err != nil {
			return false, nil
		}
		defer w.Stop()
		for event := range w.ResultChan() {
			n, ok := event.Object.(*corev1.Node)
			if !ok {
				return false, nil // an error, such as a version that is too old
			}
			nodes[n.Name] = n
			if ok, err := done(nodes); ok || err != nil {
				return ok, unlessTransient(err)
			}
		}
		return false, nil
	})
}

// unready names the nodes that are not what a create waits for, each with why.
func (c *creation) unready(nodes map[string]*corev1.Node) []string {
	var out []string
	for _, n := range c.cfg.Nodes {
		node := nodes[n.Name]
		if node == nil {
			out = append(out, n.Name+" is not registered")
			continue
		}
		if !c.provesDNS() {
			continue
		}
		if why := notReady(node); why != "" {
			out = append(out, n.Name+": "+why)
		}
	}
	return out
}

// notReady says why a node takes no pods yet; "" if it does. A node that has just got
// Ready is tainted until the controller manager has seen it.
func notReady(n *corev1.Node) string {
	for _, cond := range n.Status.Conditions {
		if cond.Type != corev1.NodeReady {
			continue
		}
		if cond.Status != corev1.ConditionTrue {
			return cond.Message
		}
		for _, taint := range n.Spec.Taints {
			if taint.Key == corev1.TaintNodeNotReady || taint.Key == corev1.TaintNodeUnreachable {
				return "Ready, and still has the taint " + taint.Key
			}
		}
		return ""
	}
	return "no status yet"
}

// deletedLook is how often what polls the API looks whether the cluster is still there:
// one that does not answer may have been deleted.
const deletedLook = 2 * time.Second

func (c *creation) poll(ctx context.Context, done func(context.Context) (bool, error)) error {
	looked := time.Now()
	err := wait.PollUntilContextCancel(ctx, pollEvery, true, func(ctx context.Context) (bool, error) {
		if ok, err := done(ctx); ok || err != nil || time.Since(looked) < deletedLook {
			return ok, err
		}
		looked = time.Now()
		if c.isDeleted(ctx) {
			return false, errors.New("its machines were removed")
		}
		return false, nil
	})
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
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
