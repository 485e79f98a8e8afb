package evidence

import (
	"context"
	"fmt"
	"io"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kluster-project/kluster/internal/bundle"
)

// mostLogs of a namespace are taken, those of pods that are not ready first.
const mostLogs = 60

// pods takes the logs of a namespace's pods, since a time or all.
func (s *scene) pods(ctx context.Context, ns string, since *metav1.Time) error {
	list, err := s.api.Client.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	logs := logsOf(list.Items)
	for _, l := range logs[:min(len(logs), mostLogs)] {
		s.ask(ctx, "log "+l.file(ns), func(ctx context.Context) error { return s.log(ctx, ns, l, since) })
	}
	if len(logs) > mostLogs {
		return fmt.Errorf("logs of %d containers are left out", len(logs)-mostLogs)
	}
	return nil
}

// podLog is a log of a container: that of now, or of its previous life.
type podLog struct {
	pod, container string
	previous       bool
}

func (l podLog) file(ns string) string {
	name := ns + "/logs/" + l.pod + "." + l.container
	if l.previous {
		name += ".previous"
	}
	return name + ".log"
}

// logsOf are the logs that pods have.
func logsOf(pods []corev1.Pod) []podLog {
	slices.SortStableFunc(pods, func(a, b corev1.Pod) int {
		if ready(&a) == ready(&b) {
			return 0
		}
		if ready(&b) {
			return -1
		}
		return 1
	})
	var logs []podLog
	for _, pod := range pods {
		for _, c := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses, pod.Status.EphemeralContainerStatuses) {
			if c.ContainerID != "" {
				logs = append(logs, podLog{pod.Name, c.Name, false})
			}
			if c.RestartCount > 0 {
				logs = append(logs, podLog{pod.Name, c.Name, true})
			}
		}
	}
	return logs
}

func ready(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// mostLines of a log are asked for.
const mostLines int64 = 2000

func (s *scene) log(ctx context.Context, ns string, l podLog, since *metav1.Time) error {
	stream, err := s.api.Client.CoreV1().Pods(ns).GetLogs(l.pod, &corev1.PodLogOptions{
		Container: l.container, Previous: l.previous, Timestamps: true, TailLines: new(mostLines), SinceTime: since,
	}).Stream(ctx)
	if err != nil {
		return err
	}
	defer stream.Close()
	text := &bundle.End{Most: mostOfLog}
	_, err = io.Copy(text, stream)
	s.files.Put(l.file(ns), text.Bytes(), mostOfLog, bundle.Tail)
	return err
}
