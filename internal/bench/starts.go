package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
)

const (
	// podLabel marks the pods that a bench starts.
	podLabel = "kluster-bench"
	// startedWord is what a pod's container prints first.
	startedWord = "started"
	// podScript then only waits, as one process.
	podScript = "echo " + startedWord + "; exec sleep 86400"
	// podGrace is how long a pod may take to end, in seconds. With 0 the API would
	// forget the pod before the node has ended it.
	podGrace = int64(1)
)

// waitingPod is a pod of the node's, past the scheduler, that asks for nothing but
// to be started.
func (p *pairCluster) waitingPod(name string) *corev1.Pod {
	no, grace := false, podGrace
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: probeNamespace, Labels: map[string]string{podLabel: ""}},
		Spec: corev1.PodSpec{
			NodeName:                      p.node,
			RestartPolicy:                 corev1.RestartPolicyNever,
			AutomountServiceAccountToken:  &no,
			EnableServiceLinks:            &no,
			TerminationGracePeriodSeconds: &grace,
			Tolerations:                   []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			Containers: []corev1.Container{{
				Name: "wait", Image: p.pair.PodImage, ImagePullPolicy: corev1.PullNever,
				Command: []string{"sh", "-c", podScript},
			}},
		},
	}
}

func (p *pairCluster) pods() corev1client.PodInterface { return p.client.CoreV1().Pods(probeNamespace) }

// podNames names the pods of a series.
func podNames(series string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("bench-%s-%d", series, i+1)
	}
	return names
}

// startInTurn fills in the starts of pods each of which begins when the one before
// was seen to run. They all stay until the last has started, so that none starts
// while another is ended.
func (p *pairCluster) startInTurn(ctx context.Context, s *RuntimeSample) error {
	names := podNames("turn", p.opt.Amounts.Sequence)
	for _, name := range names {
		started, _, err := p.start(ctx, []string{name})
		if err != nil {
			return err
		}
		s.Starts = append(s.Starts, started...)
	}
	return p.remove(ctx, names)
}

// startAtOnce fills in the starts of pods that are all made at the same time.
func (p *pairCluster) startAtOnce(ctx context.Context, s *RuntimeSample) error {
	names := podNames("burst", p.opt.Amounts.Burst)
	starts, took, err := p.start(ctx, names)
	if err != nil {
		return err
	}
	s.Burst, s.BurstSeconds = starts, took.Seconds()
	return p.remove(ctx, names)
}

// start makes pods, all at once, and returns when all were seen to run. took is
// from before the first was made until the last container has started.
func (p *pairCluster) start(ctx context.Context, names []string) (starts []PodStart, took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.opt.Timeout)
	defer cancel()
	news, err := p.pods().Watch(ctx, metav1.ListOptions{LabelSelector: podLabel})
	if err != nil {
		return nil, 0, fmt.Errorf("watching pods: %w", err)
	}
	defer news.Stop()
	accepted := make([]time.Time, len(names))
	var seen map[string]time.Time
	began := time.Now()
	all, groupCtx := errgroup.WithContext(ctx)
	all.Go(func() (err error) {
		seen, err = seenRunning(groupCtx, news, names)
		return err
	})
	for i, name := range names {
		all.Go(func() error {
			_, err := p.pods().Create(groupCtx, p.waitingPod(name), metav1.CreateOptions{})
			accepted[i] = time.Now()
			if err != nil {
				return fmt.Errorf("creating a pod: %w", err)
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		return nil, 0, err
	}
	for i, name := range names {
		at, err := p.startedAt(ctx, name)
		if err != nil {
			return nil, 0, err
		}
		starts = append(starts, PodStart{StartedSeconds: since(accepted[i], at), SeenSeconds: since(accepted[i], seen[name])})
		took = max(took, at.Sub(began))
	}
	return starts, took, nil
}

// seenRunning returns when the watch has shown that all pods of these names run,
// and when it did of each.
func seenRunning(ctx context.Context, news watch.Interface, names []string) (map[string]time.Time, error) {
	at := map[string]time.Time{}
	for len(at) < len(names) {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d pods run: %w", len(at), len(names), context.Cause(ctx))
		case event := <-news.ResultChan():
			now := time.Now()
			pod, ok := event.Object.(*corev1.Pod)
			if !ok {
				return nil, fmt.Errorf("%d of %d pods run, and the watch of pods ended: %w", len(at), len(names), apierrors.FromObject(event.Object))
			}
			if !slices.Contains(names, pod.Name) || !at[pod.Name].IsZero() {
				continue
			}
			switch pod.Status.Phase {
			case corev1.PodRunning:
				at[pod.Name] = now
			case corev1.PodFailed, corev1.PodSucceeded:
				return nil, fmt.Errorf("pod %s is %s: %s %s", pod.Name, pod.Status.Phase, pod.Status.Reason, pod.Status.Message)
			}
		}
	}
	return at, nil
}

// startedAt is when a pod's container printed its first line: the time that the
// container runtime wrote in front of it, of the clock that this process has too.
func (p *pairCluster) startedAt(ctx context.Context, name string) (at time.Time, err error) {
	var last error
	err = p.observer().poll(ctx, func(ctx context.Context) bool {
		var log []byte
		if log, last = p.readLog(ctx, p.client, name); last == nil {
			at, last = printedAt(log, startedWord)
		}
		return last == nil
	})
	if err != nil {
		return at, fmt.Errorf("reading when pod %s started (%w): %w", name, last, err)
	}
	return at, nil
}

// remove deletes pods and returns when the node has ended them.
func (p *pairCluster) remove(ctx context.Context, names []string) error {
	ctx, cancel := context.WithTimeout(ctx, p.opt.Timeout)
	defer cancel()
	all, groupCtx := errgroup.WithContext(ctx)
	for _, name := range names {
		all.Go(func() error { return p.pods().Delete(groupCtx, name, *metav1.NewDeleteOptions(podGrace)) })
	}
	if err := all.Wait(); err != nil {
		return fmt.Errorf("deleting pods: %w", err)
	}
	left := len(names)
	err := p.observer().poll(ctx, func(ctx context.Context) bool {
		list, err := p.pods().List(ctx, metav1.ListOptions{LabelSelector: podLabel})
		if err == nil {
			left = len(list.Items)
		}
		return left == 0
	})
	if err != nil {
		return fmt.Errorf("waiting for %d pods to end: %w", left, err)
	}
	return nil
}
