package bench

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kluster-project/kluster/internal/wait"
)

const (
	probeName      = "bench-probe"
	probeNamespace = metav1.NamespaceDefault
	// probeWord is what the probe prints when the name has been resolved.
	probeWord = "resolved"
)

// probeScript asks ten times a second with what the image has, and does not wait
// for an answer before it asks again: a question that got lost while the network
// was not whole would count for a resolver's time-out. The shell is process 1.
const probeScript = `trap 'exit 0' USR1
ask() { getent hosts kubernetes.default || nslookup kubernetes.default.svc.cluster.local; }
while :; do
  (ask >/dev/null 2>&1 && echo ` + probeWord + ` && kill -USR1 1) &
  sleep 0.1
done`

// probePod is an ordinary pod of a user, but that it may run on control planes.
func probePod(image string) *corev1.Pod {
	no, second, grace := false, "1", int64(0)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: probeName, Namespace: probeNamespace},
		Spec: corev1.PodSpec{
			RestartPolicy:                 corev1.RestartPolicyNever,
			AutomountServiceAccountToken:  &no,
			TerminationGracePeriodSeconds: &grace,
			Tolerations: []corev1.Toleration{{
				Key: "node-role.kubernetes.io/control-plane", Operator: corev1.TolerationOpExists,
			}},
			DNSConfig: &corev1.PodDNSConfig{Options: []corev1.PodDNSConfigOption{
				{Name: "timeout", Value: &second}, {Name: "attempts", Value: &second},
			}},
			Containers: []corev1.Container{{
				Name: "probe", Image: image, ImagePullPolicy: corev1.PullNever,
				Command: []string{"sh", "-c", probeScript},
			}},
		},
	}
}

// logReader gives the log of a pod of the bench's, each line behind its time.
type logReader func(ctx context.Context, client kubernetes.Interface, pod string) ([]byte, error)

func readPodLog(ctx context.Context, client kubernetes.Interface, pod string) ([]byte, error) {
	return client.CoreV1().Pods(probeNamespace).GetLogs(pod, &corev1.PodLogOptions{Timestamps: true}).DoRaw(ctx)
}

// probe starts the pod as soon as the cluster takes it and gives the time when
// it resolved the name. The time is the one that the container runtime wrote in
// front of the pod's output: nodes are on this machine, so the clock is the same,
// and how long the news takes to get here does not count.
func (o *observer) probe(ctx context.Context, client kubernetes.Interface) (time.Time, error) {
	if err := o.startProbe(ctx, client); err != nil {
		return time.Time{}, err
	}
	var at time.Time
	var last error
	err := o.poll(ctx, func(ctx context.Context) bool {
		pod, err := client.CoreV1().Pods(probeNamespace).Get(ctx, probeName, metav1.GetOptions{})
		if err != nil {
			last = err
			return false
		}
		if pod.Status.Phase != corev1.PodSucceeded {
			last = fmt.Errorf("it is %s", strings.ToLower(string(pod.Status.Phase)))
			return false
		}
		log, err := o.readLog(ctx, client, probeName)
		if err != nil {
			last = fmt.Errorf("reading the probe's log: %w", err)
			return false
		}
		at, last = printedAt(log, probeWord)
		return last == nil
	})
	if err != nil {
		return at, fmt.Errorf("waiting for a pod to resolve kubernetes.default (%w): %w", last, err)
	}
	grace := metav1.NewDeleteOptions(0)
	if err := client.CoreV1().Pods(probeNamespace).Delete(ctx, probeName, *grace); err != nil {
		return at, fmt.Errorf("deleting the probe: %w", err)
	}
	return at, nil
}

func (o *observer) startProbe(ctx context.Context, client kubernetes.Interface) error {
	var last error
	err := o.poll(ctx, func(ctx context.Context) bool {
		image := o.tool.ProbeImage
		if image == "" {
			if image, last = reportedImage(ctx, client); last != nil {
				return false
			}
		}
		// Until its service account is there the pod is forbidden.
		_, last = client.CoreV1().Pods(probeNamespace).Create(ctx, probePod(image), metav1.CreateOptions{})
		return last == nil || apierrors.IsAlreadyExists(last)
	})
	if err != nil {
		return fmt.Errorf("starting the probe (%w): %w", last, err)
	}
	return nil
}

// probeImages are parts of names of images that can resolve names, best first.
var probeImages = []string{"/agnhost:", "/busybox:", "/local-path-helper:"}

// reportedImage is a fit image of those that nodes say they hold.
func reportedImage(ctx context.Context, client kubernetes.Interface) (string, error) {
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	for _, part := range probeImages {
		for _, n := range nodes.Items {
			for _, image := range n.Status.Images {
				for _, name := range image.Names {
					if strings.Contains(name, part) {
						return name, nil
					}
				}
			}
		}
	}
	return "", fmt.Errorf("no node reports one of the images %s", strings.Join(probeImages, ", "))
}

// printedAt finds when a line with nothing but the word was printed.
func printedAt(log []byte, word string) (time.Time, error) {
	for line := range bytes.Lines(log) {
		stamp, text, _ := bytes.Cut(bytes.TrimSpace(line), []byte(" "))
		if string(text) == word {
			at, err := time.Parse(time.RFC3339Nano, string(stamp))
			if err != nil {
				return at, fmt.Errorf("reading a pod's log: %w", err)
			}
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("the pod's log has no line %q", word)
}

// poll asks again and again, gently, until done or ctx ends.
func (o *observer) poll(ctx context.Context, done func(context.Context) bool) error {
	for !done(ctx) {
		if !wait.For(ctx, o.every) {
			return context.Cause(ctx)
		}
	}
	return nil
}
