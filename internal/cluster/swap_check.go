package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/status"
	"github.com/kluster-project/kluster/internal/wait"
	"github.com/kluster-project/kluster/provider"
)

// unfitError is a cluster that is not in a state for a swap: exit code 4.
func unfitError(err error, hint string, args ...any) error {
	return failure.With(err, failure.Exit(failure.CodeHost), failure.Hint(hint, args...))
}

// refuseInTime is refuse, for no longer than the swap may take: an API that does not
// answer is asked again and again.
func (s *swap) refuseInTime(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, s.opt.Timeout, &lateSwapError{s.opt.Timeout})
	defer cancel()
	err := s.refuse(ctx)
	if err != nil && ctx.Err() != nil {
		err = causeOf(ctx, err)
	}
	return err
}

// refuse says why the node cannot be swapped, if it cannot. It changes nothing.
func (s *swap) refuse(ctx context.Context) error {
	if s.from.same(s.to) {
		return nil
	}
	for _, forbids := range []func(*swap, context.Context) error{
		(*swap).imageLacks, (*swap).isAlone, (*swap).isDown, (*swap).othersDown, (*swap).losesPods, (*swap).neverDrains,
	} {
		if err := forbids(s, ctx); err != nil {
			return fmt.Errorf("node %s: %w", s.node.Name, err)
		}
	}
	return nil
}

// check is refuse, and waits for budgets that forbid the drain only now.
func (s *swap) check(ctx context.Context, step status.Step) error {
	if err := s.refuse(ctx); err != nil {
		return err
	}
	if isControlPlane(s.node) && len(s.controlPlanes()) == 1 {
		step.Note("%s is the only control plane: the API is away until it is back", s.node.Name)
	}
	for {
		blocked, err := s.blocked(ctx)
		if err == nil && len(blocked) == 0 {
			return nil
		}
		if err == nil {
			step.Detail("waiting for the disruption budget of " + blocked[0])
		} else if unlessTransient(err) != nil {
			return err
		}
		if !wait.For(ctx, drainPoll) {
			return s.undrainable(errors.Join(context.Cause(ctx), err), blocked)
		}
	}
}

// imageLacks sees that the node's image holds what it is to get.
func (s *swap) imageLacks(context.Context) error {
	m, err := manifestOf(provider.Image{Labels: s.node.Labels})
	if err != nil {
		return &inputError{fmt.Errorf("image %q: %w", s.node.Image, err)}
	}
	s.classes = ociOf(m)
	if !slices.Contains(m.Runtimes, s.to.runtime.Name) {
		all := append(slices.Clone(m.Runtimes), s.to.runtime.Name)
		return &inputError{failure.With(
			fmt.Errorf("image %q holds %s, not the container runtime %s", s.node.Image, strings.Join(m.Runtimes, ", "), s.to.runtime.Name),
			failure.Hint("make an image that holds them all, and a cluster with it: kluster build node-image --runtime %s", strings.Join(all, ",")))}
	}
	if want := ociName(s.to.oci); !slices.Contains(s.classes, want) {
		return &inputError{fmt.Errorf("image %q holds %s, not the OCI runtime %s", s.node.Image, strings.Join(s.classes, ", "), want)}
	}
	return nil
}

func (s *swap) isAlone(context.Context) error {
	if len(s.cluster) > 1 || s.opt.Force {
		return nil
	}
	return &inputError{failure.With(errors.New("it is the only node of its cluster, which would be away meanwhile"),
		failure.Hint("--force swaps it all the same"))}
}

// isDown sees that the node runs and is Ready.
func (s *swap) isDown(ctx context.Context) error {
	if s.node.State != provider.StateRunning {
		return unfitError(fmt.Errorf("it is %s", s.node.State), "a swap needs a node that runs; kluster get nodes shows which do")
	}
	var n *corev1.Node
	err := persist(ctx, "asking for its state", func(ctx context.Context) (err error) {
		n, err = s.client.CoreV1().Nodes().Get(ctx, s.node.Name, metav1.GetOptions{})
		return err
	})
	if err != nil {
		return err
	}
	if why := notReady(n); why != "" {
		return unfitError(fmt.Errorf("it is not Ready: %s", why), "if a swap was cut short: %s", s.byHand())
	}
	return nil
}

// controlPlanes are those of the cluster.
func (s *swap) controlPlanes() []provider.Node {
	return slices.DeleteFunc(slices.Clone(s.cluster), func(n provider.Node) bool { return !isControlPlane(n) })
}

// othersDown sees that the cluster keeps a quorum without this control plane.
func (s *swap) othersDown(ctx context.Context) error {
	if !isControlPlane(s.node) {
		return nil
	}
	for _, other := range s.controlPlanes() {
		if other.ID == s.node.ID {
			continue
		}
		if other.State != provider.StateRunning {
			return unfitError(fmt.Errorf("control plane %s is %s, and etcd would lose another member", other.Name, other.State), "start it first")
		}
		err := persist(ctx, "asking for the state of "+other.Name, func(ctx context.Context) error {
			n, err := s.client.CoreV1().Nodes().Get(ctx, other.Name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			if why := notReady(n); why != "" {
				return unfitError(fmt.Errorf("control plane %s is not Ready (%s), and etcd would lose another member", other.Name, why), "see to it first")
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// losesPods sees that whatever is evicted comes back.
func (s *swap) losesPods(ctx context.Context) error {
	if s.opt.Force {
		return nil
	}
	pods, err := s.pods(ctx)
	if err != nil {
		return err
	}
	var lost []string
	for _, p := range pods {
		if metav1.GetControllerOf(&p) == nil {
			lost = append(lost, podName(p))
		}
	}
	if len(lost) == 0 {
		return nil
	}
	return &inputError{failure.With(fmt.Errorf("pods without a controller would be lost: %s", strings.Join(lost, ", ")),
		failure.Hint("delete them yourself, or let them be deleted with --force"))}
}

// neverDrains sees that no disruption budget forbids for good what the drain does.
func (s *swap) neverDrains(ctx context.Context) error {
	pods, err := s.pods(ctx)
	if err != nil {
		return err
	}
	for _, p := range pods {
		forbidden, err := s.forbidden(ctx, p)
		if err != nil {
			return err
		}
		if !forbidden {
			continue
		}
		budget, err := s.strictBudget(ctx, p)
		if err != nil {
			return err
		}
		if budget != "" {
			return s.undrainable(fmt.Errorf("the PodDisruptionBudget %s never lets it go", budget), []string{podName(p)})
		}
	}
	return nil
}

// strictBudget names a disruption budget of a pod that allows nothing even when all
// its pods are well, "" if there is none.
func (s *swap) strictBudget(ctx context.Context, p corev1.Pod) (string, error) {
	var list *policyv1.PodDisruptionBudgetList
	err := persist(ctx, "listing disruption budgets", func(ctx context.Context) (err error) {
		list, err = s.client.PolicyV1().PodDisruptionBudgets(p.Namespace).List(ctx, metav1.ListOptions{})
		return err
	})
	if err != nil {
		return "", err
	}
	for _, b := range list.Items {
		selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
		strict := b.Status.ExpectedPods > 0 && b.Status.DesiredHealthy >= b.Status.ExpectedPods
		if err == nil && strict && selector.Matches(labels.Set(p.Labels)) {
			return b.Namespace + "/" + b.Name, nil
		}
	}
	return "", nil
}

// undrainable is a drain that is not allowed.
func (s *swap) undrainable(err error, pods []string) error {
	return unfitError(fmt.Errorf("pods cannot be evicted: %s: %w", strings.Join(pods, ", "), err),
		"see kluster kubectl -- get pdb --all-namespaces; more replicas or a looser budget let a pod go")
}
