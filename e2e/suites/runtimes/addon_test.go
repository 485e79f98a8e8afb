package runtimes_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

const (
	// figureTime bounds the time until a pod that has just started has figures: a
	// look at the kubelets every 10 s, two looks, and what a kubelet knows is as old
	// as 10 s again.
	figureTime = 90 * time.Second
	// scaleTime bounds the time until a HorizontalPodAutoscaler, which looks every 15 s,
	// has made all pods that it is to make.
	scaleTime = 3 * time.Minute
)

// measures: metrics-server has figures of every node and of pods on each.
func measures(ctx SpecContext, m *made) {
	m.Must(ctx, "addon", "install", "metrics-server", "--cluster", m.Name)
	m.eachNode(ctx, func(n corev1.Node) {
		pod := "busy-" + n.Name
		m.RunPod(ctx, m.ns, harness.Pod(pod, n.Name, burner(m.busybox)))
		Eventually(ctx, func(ctx context.Context) []string {
			return m.kubectl(ctx, "", "top", "node", n.Name, "--no-headers").Lines()
		}).WithTimeout(figureTime).Should(ConsistOf(MatchRegexp(`^%s +[1-9]\d*m +\d+%% +[1-9]\d*Mi +\d+%%`, n.Name)))
		Eventually(ctx, func(ctx context.Context) []string {
			return m.kubectl(ctx, "", "top", "pod", pod, "--no-headers").Lines()
		}).WithTimeout(figureTime).Should(ConsistOf(MatchRegexp(`^%s +[1-9]\d*m +\d+Mi`, pod)))
		m.DeletePod(ctx, m.ns, pod)
	})
}

// burner takes all CPU time that it may, which is a little.
func burner(image string) corev1.Container {
	c := harness.Command(image, "sh", "-c", "while :; do :; done")
	c.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("50m")}
	c.Resources.Limits = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("150m")}
	return c
}

// autoscales: a Deployment under load gets more pods, and its autoscaler says why.
func autoscales(ctx SpecContext, m *made) {
	const name, most = "grows", 3
	m.Deploy(ctx, m.ns, harness.Deployment(name, 1, burner(m.busybox)))
	half := int32(50)
	scalers := m.Client.AutoscalingV2().HorizontalPodAutoscalers(m.ns)
	_, err := scalers.Create(ctx, &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: name},
			MaxReplicas:    most,
			Metrics: []autoscalingv2.MetricSpec{{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{
				Name: corev1.ResourceCPU, Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: &half},
			}}},
		},
	}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	Eventually(ctx, func(ctx context.Context) (int32, error) {
		d, err := m.Client.AppsV1().Deployments(m.ns).Get(ctx, name, metav1.GetOptions{})
		return d.Status.AvailableReplicas, err
	}).WithTimeout(scaleTime).Should(Equal(int32(most)))
	scaler, err := scalers.Get(ctx, name, metav1.GetOptions{})
	Expect(err).NotTo(HaveOccurred())
	Expect(scaler.Status.CurrentMetrics).To(HaveLen(1))
	Expect(*scaler.Status.CurrentMetrics[0].Resource.Current.AverageUtilization).To(BeNumerically(">", half))
	Eventually(ctx, func(ctx context.Context) string { return m.kubectl(ctx, "", "describe", "hpa", name).Stdout }).
		WithTimeout(reach).Should(And(ContainSubstring("SuccessfulRescale"), ContainSubstring("above target")))
	Expect(scalers.Delete(ctx, name, metav1.DeleteOptions{})).To(Succeed())
	Expect(m.Client.AppsV1().Deployments(m.ns).Delete(ctx, name, metav1.DeleteOptions{})).To(Succeed())
}
