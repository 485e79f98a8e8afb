package cluster_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

// reach bounds the time until a new Service is programmed on all nodes.
const reach = time.Minute

var _ = Describe("The network", Ordered, ContinueOnFailure, harness.Short, func() {
	var (
		ns      string
		servers []corev1.Pod
		// clients are idle pods, one per node, by node.
		clients map[string]corev1.Pod
	)

	service := func(ctx context.Context, s *corev1.Service) *corev1.Service {
		GinkgoHelper()
		made, err := c.Client.CoreV1().Services(ns).Create(ctx, s, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		return made
	}
	// everywhere fetches url from every node and from a pod on every node, until
	// each has been answered by every server.
	everywhere := func(ctx context.Context, url string) {
		GinkgoHelper()
		for node, client := range clients {
			for from, fetch := range map[string]func(context.Context) harness.Result{
				"node":          func(ctx context.Context) harness.Result { return c.Exec(ctx, node, curl(url)...) },
				"a pod of node": func(ctx context.Context) harness.Result { return c.PodExec(ctx, ns, client.Name, wget(url)...) },
			} {
				heard := map[string]bool{}
				Eventually(ctx, func(ctx context.Context) map[string]bool {
					if r := fetch(ctx); r.Code == 0 {
						heard[r.Stdout] = true
					}
					return heard
				}).WithTimeout(reach).Should(HaveLen(nodes), "%s from %s %s", url, from, node)
				for _, s := range servers {
					Expect(heard).To(HaveKey(s.Name))
				}
			}
		}
	}

	BeforeAll(func(ctx SpecContext) {
		ns = c.Namespace(ctx)
		c.Deploy(ctx, ns, harness.Deployment("web", nodes, harness.Web(c.Image(ctx, "agnhost"))))
		clients = c.DeployEverywhere(ctx, ns, harness.DaemonSet("client", harness.Idle(c.Image(ctx, "busybox"))))
		servers = c.Pods(ctx, ns, "web")
		Expect(servers).To(HaveLen(nodes))
	})

	It("joins pods across nodes, without translating addresses", func(ctx SpecContext) {
		for _, client := range clients {
			for _, server := range servers {
				url := fmt.Sprintf("http://%s/clientip", net.JoinHostPort(server.Status.PodIP, fmt.Sprint(harness.WebPort)))
				Eventually(ctx, func(ctx context.Context) harness.Result {
					return c.PodExec(ctx, ns, client.Name, wget(url)...)
				}).WithTimeout(reach).Should(HaveField("Stdout", HavePrefix(client.Status.PodIP+":")),
					"%s to %s", client.Spec.NodeName, server.Spec.NodeName)
			}
		}
	})

	It("carries a ClusterIP Service to every node and pod", func(ctx SpecContext) {
		s := service(ctx, harness.Service("cluster-ip", "web", corev1.ServiceTypeClusterIP))
		everywhere(ctx, "http://"+s.Spec.ClusterIP+"/hostname")
	})

	It("carries a NodePort Service, on every node's address, to every node and pod", func(ctx SpecContext) {
		s := service(ctx, harness.Service("node-port", "web", corev1.ServiceTypeNodePort))
		for _, n := range c.Nodes(ctx) {
			everywhere(ctx, fmt.Sprintf("http://%s:%d/hostname", harness.InternalIP(n), s.Spec.Ports[0].NodePort))
		}
	})

	It("resolves Services in pods", func(ctx SpecContext) {
		service(ctx, harness.Service("by-name", "web", corev1.ServiceTypeClusterIP))
		for _, client := range clients {
			for _, name := range []string{"by-name", "by-name." + ns, "by-name." + ns + ".svc.cluster.local"} {
				Eventually(ctx, func(ctx context.Context) harness.Result {
					return c.PodExec(ctx, ns, client.Name, wget("http://"+name+"/hostname")...)
				}).WithTimeout(reach).Should(HaveField("Stdout", HavePrefix("web-")), "%s on %s", name, client.Spec.NodeName)
			}
		}
	})

	It("resolves a headless Service to its pods", func(ctx SpecContext) {
		service(ctx, harness.Headless("headless", "web"))
		for _, client := range clients {
			Eventually(ctx, func(ctx context.Context) []string {
				return strings.Fields(c.PodExec(ctx, ns, client.Name, "nslookup", "headless."+ns+".svc.cluster.local").Stdout)
			}).WithTimeout(reach).Should(ContainElements(
				servers[0].Status.PodIP, servers[1].Status.PodIP, servers[2].Status.PodIP))
		}
	})

	It("refuses at once what no Service serves", func(ctx SpecContext) {
		s := service(ctx, harness.Service("one-port", "web", corev1.ServiceTypeClusterIP))
		none := service(ctx, harness.Service("no-pods", "nobody", corev1.ServiceTypeClusterIP))
		for _, target := range []string{s.Spec.ClusterIP + ":81", s.Spec.ClusterIP + ":443", none.Spec.ClusterIP + ":80"} {
			for _, n := range c.Nodes(ctx) {
				Eventually(ctx, func(ctx context.Context) harness.Result {
					return c.Exec(ctx, n.Name, curl("http://"+target)...)
				}).WithTimeout(reach).Should(HaveField("Code", 7), "%s from node %s: 7 is curl's \"connection refused\"", target, n.Name)
			}
			for _, p := range servers {
				Eventually(ctx, func(ctx context.Context) harness.Result {
					return c.PodExec(ctx, ns, p.Name, "/agnhost", "connect", "--timeout=5s", target)
				}).WithTimeout(reach).Should(And(
					HaveField("Stderr", ContainSubstring("REFUSED")),
					HaveField("Took", BeNumerically("<", 3*time.Second)),
				), "%s from a pod of %s", target, p.Spec.NodeName)
			}
		}
	})
})
