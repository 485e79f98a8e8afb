package cluster_test

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

var _ = Describe("Storage", harness.Short, func() {
	var ns, busybox string

	BeforeEach(func(ctx SpecContext) { ns, busybox = c.Namespace(ctx), c.Image(ctx, "busybox") })

	It("keeps a claim's data from one pod to the next", func(ctx SpecContext) {
		_, err := c.Client.CoreV1().PersistentVolumeClaims(ns).Create(ctx, harness.Claim("data"), metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		user := func(name, script string) *corev1.Pod {
			return harness.ClaimPod(name, "", "data", harness.Command(busybox, "sh", "-c", script))
		}
		c.FinishPod(ctx, ns, user("writer", "echo kept >/data/file"))
		c.DeletePod(ctx, ns, "writer")
		Expect(c.FinishPod(ctx, ns, user("reader", "cat /data/file"))).To(Equal("kept\n"))
	})

	It("gives each pod of a StatefulSet its own, and a name", func(ctx SpecContext) {
		_, err := c.Client.CoreV1().Services(ns).Create(ctx, harness.Headless("db", "db"), metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		set := harness.StatefulSet("db", 2, harness.Mounted("data", harness.Command(busybox, "sh", "-c",
			"echo $HOSTNAME >>/data/name; exec httpd -f -p 8080 -h /data")), *harness.Claim("data"))
		_, err = c.Client.AppsV1().StatefulSets(ns).Create(ctx, set, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		awaitSet := func() {
			GinkgoHelper()
			Eventually(ctx, func(ctx context.Context) (int32, error) {
				s, err := c.Client.AppsV1().StatefulSets(ns).Get(ctx, "db", metav1.GetOptions{})
				return s.Status.AvailableReplicas, err
			}).WithTimeout(2 * harness.PodTimeout).Should(Equal(int32(2)))
		}
		awaitSet()
		c.DeletePod(ctx, ns, "db-1")
		awaitSet()
		Eventually(ctx, func(ctx context.Context) harness.Result {
			return c.PodExec(ctx, ns, "db-0", wget("http://db-1.db."+ns+".svc.cluster.local:8080/name")...)
		}).WithTimeout(reach).Should(HaveField("Stdout", "db-1\ndb-1\n"), "db-1 has run twice on one volume")
	})
})
