package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/wait"
	"github.com/kluster-project/kluster/provider"
)

// WaitReady returns when nodes of a cluster, or all, run and are Ready, and the API
// servers of control planes among them serve.
func (m *Manager) WaitReady(ctx context.Context, cluster string, nodes ...string) error {
	var last error
	for {
		l, err := m.newLifecycle(ctx, LifeOptions{Verb: Start, Cluster: cluster, Nodes: nodes})
		if err != nil {
			return err
		}
		if last = l.isReady(ctx); last == nil {
			return nil
		}
		if !wait.For(ctx, 5*pollEvery) {
			return fmt.Errorf("waiting for cluster %q: %w: %w", cluster, last, context.Cause(ctx))
		}
	}
}

// isReady says what is not as it shall be now, the state of the machines first.
func (l *lifecycle) isReady(ctx context.Context) error {
	var down []string
	for _, n := range l.chosen {
		if !isUp(n) {
			down = append(down, n.Name+" is "+string(n.State))
		}
	}
	if len(down) > 0 {
		return errors.New(strings.Join(down, "; "))
	}
	if err := l.reaches(ctx); err != nil {
		return err
	}
	l.turn = l.chosen
	ctx, cancel := context.WithTimeout(ctx, 2*requestTime)
	defer cancel()
	if why := l.unready(ctx); len(why) > 0 {
		return errors.New(strings.Join(why, "; "))
	}
	return l.each(isControlPlaneMachine, func(n *machine) error { return l.ownAPIServes(ctx, n) })
}

// WaitNotReady returns when the API does not call a node Ready.
func (m *Manager) WaitNotReady(ctx context.Context, cluster, node string) error {
	l, err := m.newLifecycle(ctx, LifeOptions{Verb: Start, Cluster: cluster, Nodes: []string{node}})
	if err != nil {
		return err
	}
	if isLoadBalancer(l.chosen[0].Node) {
		return &inputError{fmt.Errorf("%s is the load balancer, and no node of Kubernetes", node)}
	}
	if err := l.reaches(ctx); err != nil {
		return err
	}
	err = l.until(ctx, func(ctx context.Context) bool {
		nodes, _, err := l.heard(ctx)
		return err == nil && (nodes[node] == nil || notReady(nodes[node]) != "")
	})
	if err != nil {
		return fmt.Errorf("waiting until node %s is not Ready: %w", node, err)
	}
	return nil
}

// WaitGone returns when nothing is left of a cluster.
func (m *Manager) WaitGone(ctx context.Context, cluster string) error {
	for {
		left, err := m.provider.Leftovers(ctx, provider.Selector{nodespec.LabelCluster: cluster})
		if err == nil && len(left) == 0 {
			return nil
		}
		if !wait.For(ctx, 5*pollEvery) {
			return fmt.Errorf("waiting until cluster %q is gone (%s is left): %w", cluster, strings.Join(left, ", "), context.Cause(ctx))
		}
		if err != nil {
			return err
		}
	}
}
