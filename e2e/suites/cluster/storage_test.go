package cluster_test

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

// claim is a claim on the default StorageClass.
func claim(name string) corev1.PersistentVolumeClaim {
	return corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("16Mi")}},
		},
	}
}

// mounted is a container with a volume at /data.
func mounted(volume string, c corev1.Container) corev1.Container {
	c.VolumeMounts = []corev1.VolumeMount{{Name: volume, MountPath: "/data"}}
	return c
}

var _ = Describe("Storage", harness.Short, func() {
	var ns, busybox string

	BeforeEach(func(ctx SpecContext) { ns, busybox = c.Namespace(ctx), c.Image(ctx, "busybox") })

	It("keeps a claim's data from one pod to the next", func(ctx SpecContext) {
		pvc := claim("data")
		_, err := c.Client.CoreV1().PersistentVolumeClaims(ns).Create(ctx, &pvc, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		user := func(name, script string) *corev1.Pod {
			p := harness.Pod(name, "", mounted("data", harness.Command(busybox, "sh", "-c", script)))
			p.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"},
			}}}
			return p
		}
		c.FinishPod(ctx, ns, user("writer", "echo kept >/data/file"))
		c.DeletePod(ctx, ns, "writer")
		Expect(c.FinishPod(ctx, ns, user("reader", "cat /data/file"))).To(Equal("kept\n"))
	})

	It("gives each pod of a StatefulSet its own, and a name", func(ctx SpecContext) {
		_, err := c.Client.CoreV1().Services(ns).Create(ctx, harness.Headless("db", "db"), metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		set := harness.StatefulSet("db", 2, mounted("data", harness.Command(busybox, "sh", "-c",
			"echo $HOSTNAME >>/data/name; exec httpd -f -p 8080 -h /data")), claim("data"))
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
