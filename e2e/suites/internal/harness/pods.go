package harness

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"
	utilexec "k8s.io/client-go/util/exec"
	"k8s.io/streaming/pkg/httpstream"
)

// PodTimeout bounds the start of a pod whose image is on its node.
const PodTimeout = 2 * time.Minute

// execTimeout bounds a command in a pod.
const execTimeout = 30 * time.Second

// Namespace makes a namespace that goes when the spec (or the Ordered container
// whose BeforeAll calls this) ends. It returns when pods can be made in it.
func (c *Cluster) Namespace(ctx context.Context) string {
	ginkgo.GinkgoHelper()
	ns, err := c.Client.CoreV1().Namespaces().Create(ctx,
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "it-"}}, metav1.CreateOptions{})
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	ginkgo.DeferCleanup(func(ctx context.Context) {
		err := c.Client.CoreV1().Namespaces().Delete(ctx, ns.Name, metav1.DeleteOptions{})
		gomega.Expect(err).To(gomega.Or(gomega.Succeed(), gomega.Satisfy(apierrors.IsNotFound)))
	})
	gomega.Eventually(ctx, func(ctx context.Context) error {
		_, err := c.Client.CoreV1().ServiceAccounts(ns.Name).Get(ctx, "default", metav1.GetOptions{})
		return err
	}).WithTimeout(time.Minute).Should(gomega.Succeed(), "the default service account of a new namespace")
	return ns.Name
}

// Image is the full name of the preloaded image whose repository ends in name
// ("agnhost", "busybox"), as the nodes report it.
func (c *Cluster) Image(ctx context.Context, name string) string {
	ginkgo.GinkgoHelper()
	for _, n := range c.Nodes(ctx) {
		for _, image := range n.Status.Images {
			for _, ref := range image.Names {
				repo, _, tagged := strings.Cut(ref, ":")
				if tagged && !strings.Contains(ref, "@") && strings.HasSuffix(repo, "/"+name) {
					return ref
				}
			}
		}
	}
	ginkgo.Fail("no node holds an image named " + name)
	return ""
}

// PodExec runs a command in a pod's only container.
func (c *Cluster) PodExec(ctx context.Context, ns, pod string, cmd ...string) Result {
	return c.PodExecIn(ctx, nil, ns, pod, cmd...)
}

// PodExecIn is PodExec with something on stdin. A call that fails before the
// command runs has Code -1 and the reason in Stderr.
func (c *Cluster) PodExecIn(ctx context.Context, stdin io.Reader, ns, pod string, cmd ...string) Result {
	ctx, cancel := context.WithTimeout(ctx, execTimeout)
	defer cancel()
	began := time.Now()
	r := Result{Args: append([]string{ns + "/" + pod + ":"}, cmd...)}
	var stdout, stderr bytes.Buffer
	err := c.stream(ctx, ns, pod, cmd, remotecommand.StreamOptions{Stdin: stdin, Stdout: &stdout, Stderr: &stderr})
	r.Stdout, r.Stderr, r.Took = stdout.String(), stderr.String(), time.Since(began)
	if exit := (utilexec.CodeExitError{}); errors.As(err, &exit) {
		r.Code = exit.Code
	} else if err != nil {
		r.Code, r.Stderr = -1, r.Stderr+"\n"+err.Error()
	}
	return r
}

// stream runs a command the way kubectl does: over a WebSocket, else SPDY.
func (c *Cluster) stream(ctx context.Context, ns, pod string, cmd []string, opt remotecommand.StreamOptions) error {
	req := c.Client.CoreV1().RESTClient().Post().Namespace(ns).Resource("pods").Name(pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{
			Command: cmd, Stdin: opt.Stdin != nil, Stdout: true, Stderr: true,
		}, scheme.ParameterCodec)
	ws, err := remotecommand.NewWebSocketExecutor(c.Config, "GET", req.URL().String())
	if err != nil {
		return err
	}
	spdy, err := remotecommand.NewSPDYExecutor(c.Config, "POST", req.URL())
	if err != nil {
		return err
	}
	both, err := remotecommand.NewFallbackExecutor(ws, spdy, httpstream.IsUpgradeFailure)
	if err != nil {
		return err
	}
	return both.StreamWithContext(ctx, opt)
}

// RunPod makes a pod and waits until it is Ready.
func (c *Cluster) RunPod(ctx context.Context, ns string, pod *corev1.Pod) *corev1.Pod {
	ginkgo.GinkgoHelper()
	made, err := c.Client.CoreV1().Pods(ns).Create(ctx, pod, metav1.CreateOptions{})
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	gomega.Eventually(ctx, func(ctx context.Context) (bool, error) {
		made, err = c.Client.CoreV1().Pods(ns).Get(ctx, made.Name, metav1.GetOptions{})
		return err == nil && PodReady(made), err
	}).WithTimeout(PodTimeout).Should(gomega.BeTrue(), "pod %s/%s Ready", ns, pod.Name)
	return made
}

// FinishPod makes a pod, waits until it has ended, and returns its logs. The
// spec fails unless the pod succeeded.
func (c *Cluster) FinishPod(ctx context.Context, ns string, pod *corev1.Pod) string {
	ginkgo.GinkgoHelper()
	made, err := c.Client.CoreV1().Pods(ns).Create(ctx, pod, metav1.CreateOptions{})
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	gomega.Eventually(ctx, func(ctx context.Context) (corev1.PodPhase, error) {
		made, err = c.Client.CoreV1().Pods(ns).Get(ctx, made.Name, metav1.GetOptions{})
		return made.Status.Phase, err
	}).WithTimeout(PodTimeout).Should(gomega.BeElementOf(corev1.PodSucceeded, corev1.PodFailed), "pod %s/%s ends", ns, pod.Name)
	logs := c.Logs(ctx, ns, made.Name)
	gomega.Expect(made.Status.Phase).To(gomega.Equal(corev1.PodSucceeded), logs)
	return logs
}

// DeletePod deletes a pod and waits until it is gone; another of its name may
// have taken its place.
func (c *Cluster) DeletePod(ctx context.Context, ns, name string) {
	ginkgo.GinkgoHelper()
	pods := c.Client.CoreV1().Pods(ns)
	old, err := pods.Get(ctx, name, metav1.GetOptions{})
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	gomega.Expect(pods.Delete(ctx, name, metav1.DeleteOptions{})).To(gomega.Succeed())
	gomega.Eventually(ctx, func(ctx context.Context) (bool, error) {
		now, err := pods.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		return err == nil && now.UID != old.UID, err
	}).WithTimeout(PodTimeout).Should(gomega.BeTrue(), "pod %s/%s gone", ns, name)
}

// Logs are what a pod's only container printed. An API server drops its
// connections to kubelets when its certificates have been renewed, which ends
// the request under way with a 500: it is made again.
func (c *Cluster) Logs(ctx context.Context, ns, pod string) string {
	ginkgo.GinkgoHelper()
	var logs []byte
	gomega.Eventually(ctx, func(ctx context.Context) (err error) {
		logs, err = c.Client.CoreV1().Pods(ns).GetLogs(pod, &corev1.PodLogOptions{}).DoRaw(ctx)
		return err
	}).WithTimeout(execTimeout).Should(gomega.Succeed(), "logs of pod %s/%s", ns, pod)
	return string(logs)
}

// Pods lists the pods that carry label app=APP.
func (c *Cluster) Pods(ctx context.Context, ns, app string) []corev1.Pod {
	ginkgo.GinkgoHelper()
	list, err := c.Client.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{LabelSelector: "app=" + app})
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	return list.Items
}
