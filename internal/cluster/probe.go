package cluster

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kluster-project/kluster/internal/status"
	"github.com/kluster-project/kluster/internal/trace"
)

// The pod that proves DNS, and its service account.
const (
	probeName      = "kluster-dns-probe"
	probeNamespace = metav1.NamespaceSystem
)

// proveDNS returns when a pod has resolved kubernetes.default, and removes it.
func (c *creation) proveDNS(ctx context.Context, step status.Step) error {
	if err := c.startProbe(ctx); err != nil {
		return err
	}
	if err := c.waitNudging(ctx, step); err != nil {
		return err
	}
	return c.removeProbe(ctx)
}

// startProbe makes the pod. Its service account is its own, since the
// namespace's "default" only comes with the controller manager.
func (c *creation) startProbe(ctx context.Context) error {
	defer trace.Start(ctx, trace.Act, "API", "create the pod that proves DNS").End()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: probeName}}
	err := c.persist(ctx, "creating service account "+probeName, func(ctx context.Context) error {
		_, err := c.client.CoreV1().ServiceAccounts(probeNamespace).Create(ctx, account, metav1.CreateOptions{})
		return unless(err, apierrors.IsAlreadyExists)
	})
	if err != nil {
		return err
	}
	return c.persist(ctx, "creating pod "+probeName, func(ctx context.Context) error {
		_, err := c.client.CoreV1().Pods(probeNamespace).Create(ctx, c.probe(), metav1.CreateOptions{})
		return unless(err, apierrors.IsAlreadyExists)
	})
}

// probe is a pod that ends well once it can resolve kubernetes.default. It bears
// any taint, so that it proves the network and not the scheduling.
func (c *creation) probe() *corev1.Pod {
	no, grace := false, int64(0)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: probeName},
		Spec: corev1.PodSpec{
			ServiceAccountName:            probeName,
			AutomountServiceAccountToken:  &no,
			EnableServiceLinks:            &no,
			RestartPolicy:                 corev1.RestartPolicyOnFailure,
			TerminationGracePeriodSeconds: &grace,
			Tolerations:                   []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			Containers: []corev1.Container{{
				Name: "resolve", Image: c.images.agnhost, ImagePullPolicy: corev1.PullNever,
				Command: []string{"sh", "-c", "until getent hosts kubernetes.default; do sleep 0.1; done"},
				// A question that is lost is asked again soon.
				Env: []corev1.EnvVar{{Name: "RES_OPTIONS", Value: "timeout:1 attempts:1"}},
			}},
		},
	}
}

// waitNudging waits for the pod, and sees that cluster DNS is found ready as soon
// as it is.
func (c *creation) waitNudging(ctx context.Context, step status.Step) error {
	nudging, stop := context.WithCancel(ctx)
	var group sync.WaitGroup
	group.Go(func() { c.nudgeDNS(nudging) })
	err := c.waitProbe(ctx, step)
	stop()
	group.Wait()
	return err
}

func (c *creation) waitProbe(ctx context.Context, step status.Step) error {
	defer trace.Start(ctx, trace.Act, "API", "wait for the pod that proves DNS").End()
	var last string
	err := c.poll(ctx, func(ctx context.Context) (bool, error) {
		pod, err := c.client.CoreV1().Pods(probeNamespace).Get(ctx, probeName, metav1.GetOptions{})
		if err != nil {
			return false, nil // an API server that restarts is waited for
		}
		last = podState(pod)
		step.Detail("DNS from a pod: " + last)
		switch pod.Status.Phase {
		case corev1.PodSucceeded:
			return true, nil
		case corev1.PodRunning:
			return c.probeSpeaks(ctx), nil
		}
		return false, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for a pod to resolve kubernetes.default (pod is %s): %w", last, err)
	}
	return nil
}

// probeSpeaks follows the log of the pod that proves DNS, where the address
// appears when it is found; the kubelet notices the end of the pod up to a second
// later. It is false when the log could not be followed to that point.
func (c *creation) probeSpeaks(ctx context.Context) bool {
	log, err := c.client.CoreV1().Pods(probeNamespace).GetLogs(probeName, &corev1.PodLogOptions{Follow: true}).Stream(ctx)
	if err != nil {
		return false
	}
	defer log.Close()
	line, err := bufio.NewReader(log).ReadString('\n')
	return err == nil && strings.TrimSpace(line) != ""
}

func (c *creation) removeProbe(ctx context.Context) error {
	err := c.persist(ctx, "removing pod "+probeName, func(ctx context.Context) error {
		err := c.client.CoreV1().Pods(probeNamespace).Delete(ctx, probeName, *metav1.NewDeleteOptions(0))
		return unless(err, apierrors.IsNotFound)
	})
	if err != nil {
		return err
	}
	return c.persist(ctx, "removing service account "+probeName, func(ctx context.Context) error {
		err := c.client.CoreV1().ServiceAccounts(probeNamespace).Delete(ctx, probeName, metav1.DeleteOptions{})
		return unless(err, apierrors.IsNotFound)
	})
}

// persist calls do until it succeeds or fails for a reason that will not pass.
func (c *creation) persist(ctx context.Context, what string, do func(context.Context) error) error {
	return c.poll(ctx, func(ctx context.Context) (bool, error) {
		err := do(ctx)
		if err != nil && unlessTransient(err) != nil {
			return false, fmt.Errorf("%s: %w", what, err)
		}
		return err == nil, nil
	})
}

// unless is err, or nil where the error is of this kind.
func unless(err error, kind func(error) bool) error {
	if kind(err) {
		return nil
	}
	return err
}

// podState is a pod's phase and what it or its containers wait for.
func podState(pod *corev1.Pod) string {
	state := strings.ToLower(string(pod.Status.Phase))
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			state += ", " + strings.TrimSpace(c.Reason+" "+c.Message)
		}
	}
	for _, cs := range pod.Status.ContainerStatuses {
		if w := cs.State.Waiting; w != nil {
			state += ", " + strings.TrimSpace(w.Reason+" "+w.Message)
		}
	}
	return state
}
