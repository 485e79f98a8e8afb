package cluster_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

// podReady says whether a pod is Ready, for Eventually.
func podReady(ns, name string) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		p, err := c.Client.CoreV1().Pods(ns).Get(ctx, name, metav1.GetOptions{})
		return err == nil && harness.PodReady(p), err
	}
}

var _ = Describe("A workload", harness.Short, func() {
	var ns, agnhost, busybox string

	BeforeEach(func(ctx SpecContext) {
		ns, agnhost, busybox = c.Namespace(ctx), c.Image(ctx, "agnhost"), c.Image(ctx, "busybox")
	})

	It("of a Deployment is spread over the nodes", func(ctx SpecContext) {
		c.Deploy(ctx, ns, harness.Deployment("spread", nodes, harness.Web(agnhost)))
		on := map[string]bool{}
		for _, p := range c.Pods(ctx, ns, "spread") {
			on[p.Spec.NodeName] = true
		}
		Expect(on).To(HaveLen(nodes))
	})

	It("of a Job runs to its end", func(ctx SpecContext) {
		c.FinishJob(ctx, ns, 4, 2, harness.Command(busybox, "true"))
	})

	It("can be exec'ed in, with stdin and an exit code", func(ctx SpecContext) {
		c.RunPod(ctx, ns, harness.Pod("shell", "", harness.Idle(busybox)))
		// An apiserver whose certificates have been renewed drops its connections
		// to kubelets once.
		Eventually(ctx, func(ctx context.Context) harness.Result {
			return c.PodExecIn(ctx, strings.NewReader("over there"), ns, "shell", "sh", "-c", "cat; echo aside >&2; exit 7")
		}).WithTimeout(reach).Should(And(
			HaveField("Stdout", "over there"), HaveField("Stderr", ContainSubstring("aside")), HaveField("Code", 7)))
	})

	It("has logs", func(ctx SpecContext) {
		text := c.FinishPod(ctx, ns, harness.Pod("talker", "", harness.Command(busybox, "sh", "-c", "seq 1 1000")))
		Expect(strings.Fields(text)).To(HaveLen(1000))
	})

	It("can be reached by port-forward", func(ctx SpecContext) {
		c.RunPod(ctx, ns, harness.Pod("web", "", harness.Web(agnhost)))
		forwarding, stop := context.WithCancel(ctx)
		defer stop()
		var port int
		Eventually(ctx, func() (err error) {
			port, err = c.PortForward(forwarding, ns, "web", harness.WebPort)
			return err
		}).WithTimeout(reach).Should(Succeed())
		for range 5 {
			Expect(harness.Get(ctx, fmt.Sprintf("http://127.0.0.1:%d/hostname", port))).To(Equal("web"))
		}
	})

	It("serves on a hostPort of its node", func(ctx SpecContext) {
		const port = 18080
		web := harness.Web(agnhost)
		web.Ports = []corev1.ContainerPort{{ContainerPort: harness.WebPort, HostPort: port}}
		pod := c.RunPod(ctx, ns, harness.Pod("host-port", "", web))
		for _, n := range c.Nodes(ctx) {
			Eventually(ctx, func(ctx context.Context) harness.Result {
				return c.Exec(ctx, n.Name, curl(fmt.Sprintf("http://%s:%d/hostname", pod.Status.HostIP, port))...)
			}).WithTimeout(time.Minute).Should(HaveField("Stdout", "host-port"), "from %s", n.Name)
		}
	})
})

// curl fetches a URL, showing nothing but the body, within five seconds.
func curl(url string) []string {
	return []string{"curl", "--silent", "--show-error", "--fail", "--noproxy", "*", "--max-time", "5", url}
}

// wget does what curl does, in a pod of busybox.
func wget(url string) []string {
	return []string{"wget", "-q", "-T", "5", "-O", "-", url}
}
