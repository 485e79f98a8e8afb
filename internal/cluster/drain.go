package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/kluster-project/kluster/internal/status"
	"github.com/kluster-project/kluster/internal/wait"
)

// drainPoll is how often it is looked which pods are left: what they wait for takes
// seconds.
const drainPoll = 500 * time.Millisecond

// drain evicts the node's pods, as their disruption budgets allow, and returns when
// they are gone. Those that come in spite of the cordon, since they tolerate all
// taints, would come again and again: they stay, as those of daemon sets do.
func (s *swap) drain(ctx context.Context, step status.Step) error {
	var left, refused []string
	first, err := s.pods(ctx)
	if err != nil {
		return err
	}
	for {
		pods, err := s.pods(ctx)
		pods = slices.DeleteFunc(pods, func(p corev1.Pod) bool {
			return !slices.ContainsFunc(first, func(f corev1.Pod) bool { return f.UID == p.UID })
		})
		if err != nil && unlessTransient(err) != nil && ctx.Err() == nil {
			return err
		}
		if err == nil && len(pods) == 0 {
			return nil
		}
		if err == nil {
			left, refused = podNames(pods), nil
			for _, p := range pods {
				if p.DeletionTimestamp != nil {
					continue
				}
				err := s.evict(ctx, p)
				switch {
				case apierrors.IsTooManyRequests(err):
					refused = append(refused, podName(p)+": "+err.Error())
				case err != nil && unlessTransient(err) != nil && ctx.Err() == nil:
					return fmt.Errorf("evicting %s: %w", podName(p), err)
				}
			}
			step.Detail(fmt.Sprintf("%d pods left", len(left)))
		}
		if !wait.For(ctx, drainPoll) {
			if len(refused) > 0 {
				return s.undrainable(context.Cause(ctx), refused)
			}
			return fmt.Errorf("%w: pods are left: %s", context.Cause(ctx), strings.Join(left, ", "))
		}
	}
}

// evict asks for the end of a pod. One that is gone is fine.
func (s *swap) evict(ctx context.Context, p corev1.Pod, options ...string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	err := s.client.PolicyV1().Evictions(p.Namespace).Evict(ctx, &policyv1.Eviction{
		ObjectMeta:    metav1.ObjectMeta{Name: p.Name, Namespace: p.Namespace},
		DeleteOptions: &metav1.DeleteOptions{DryRun: options, Preconditions: metav1.NewUIDPreconditions(string(p.UID))},
	})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) { // it is another pod now
		return nil
	}
	return err
}

// forbidden says whether a disruption budget forbids the eviction of a pod now.
func (s *swap) forbidden(ctx context.Context, p corev1.Pod) (bool, error) {
	refused := false
	err := persist(ctx, "asking whether "+podName(p)+" may be evicted", func(ctx context.Context) error {
		err := s.evict(ctx, p, metav1.DryRunAll)
		refused = apierrors.IsTooManyRequests(err)
		if refused {
			return nil
		}
		return err
	})
	return refused, err
}

// blocked names the pods that may not be evicted now.
func (s *swap) blocked(ctx context.Context) ([]string, error) {
	pods, err := s.pods(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, p := range pods {
		forbidden, err := s.forbidden(ctx, p)
		if err != nil {
			return names, err
		}
		if forbidden {
			names = append(names, podName(p))
		}
	}
	return names, nil
}

// pods are those of the node that a drain evicts.
func (s *swap) pods(ctx context.Context) ([]corev1.Pod, error) {
	var list *corev1.PodList
	err := persist(ctx, "listing the node's pods", func(ctx context.Context) (err error) {
		list, err = s.client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{
			FieldSelector: fields.OneTermEqualSelector("spec.nodeName", s.node.Name).String(),
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	var pods []corev1.Pod
	for _, p := range list.Items {
		if p.Spec.NodeName == s.node.Name && leaves(&p) {
			pods = append(pods, p)
		}
	}
	return pods, nil
}

// leaves says whether a drain evicts a pod. Static pods and those of daemon sets belong
// to the node; those that have ended hold nothing there.
func leaves(p *corev1.Pod) bool {
	if _, static := p.Annotations[corev1.MirrorPodAnnotationKey]; static {
		return false
	}
	if owner := metav1.GetControllerOf(p); owner != nil && owner.Kind == "DaemonSet" {
		return false
	}
	return p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed
}

func podName(p corev1.Pod) string { return p.Namespace + "/" + p.Name }

func podNames(pods []corev1.Pod) []string {
	var names []string
	for _, p := range pods {
		names = append(names, podName(p))
	}
	return names
}
