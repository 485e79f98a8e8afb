package cluster

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kluster-project/kluster/internal/wait"
)

const (
	// dnsPods is the label that kubeadm gives to the pods of cluster DNS.
	dnsPods = "k8s-app=kube-dns"
	// nudgeAnnotation is what a nudge changes. It is gone when the create ends.
	nudgeAnnotation = "kluster.dev/nudge"
	// nudgeEvery is the pause between nudges; each is a probe.
	nudgeEvery = 300 * time.Millisecond
)

// nudgeDNS has the kubelets look at cluster DNS until ctx ends. A readiness probe
// that came too early, while CoreDNS still looked for the API, is repeated after
// its period of 10 seconds only, or at once when something about the pod changes
// (the kubelet's prober_manager.go, UpdatePodStatus); so something is changed.
// Nobody waits for the result: without it the cluster is usable later. Meanwhile it
// notices when all of them run, or at the latest when ctx ends.
func (c *creation) nudgeDNS(ctx context.Context) {
	runs := sync.OnceFunc(func() { close(c.dnsRuns) })
	defer runs()
	nudged := map[string]bool{}
	for i := 0; wait.For(ctx, nudgeEvery); i++ {
		pods, err := c.client.CoreV1().Pods(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{LabelSelector: dnsPods})
		if err != nil {
			continue
		}
		if len(pods.Items) > 0 && !slices.ContainsFunc(pods.Items, notRunning) {
			runs()
		}
		for _, pod := range pods.Items {
			if isRunningUnready(&pod) && c.nudge(ctx, pod.Name, fmt.Sprintf("%q", fmt.Sprint(i))) == nil {
				nudged[pod.Name] = true
			}
		}
	}
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	for name := range nudged {
		_ = c.nudge(clean, name, "null") // a pod that is gone has no annotation
	}
}

// nudge sets the annotation of a pod of cluster DNS to a JSON value.
func (c *creation) nudge(ctx context.Context, pod, value string) error {
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%s}}}`, nudgeAnnotation, value)
	_, err := c.client.CoreV1().Pods(metav1.NamespaceSystem).Patch(ctx, pod, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

// isRunningUnready says whether a pod's containers all run and it is not ready.
func isRunningUnready(pod *corev1.Pod) bool {
	unready := func(cs corev1.ContainerStatus) bool { return !cs.Ready }
	return !notRunning(*pod) && slices.ContainsFunc(pod.Status.ContainerStatuses, unready)
}

// notRunning says whether a container of a pod does not run.
func notRunning(pod corev1.Pod) bool {
	all := pod.Status.ContainerStatuses
	return len(all) == 0 || slices.ContainsFunc(all, func(cs corev1.ContainerStatus) bool { return cs.State.Running == nil })
}
