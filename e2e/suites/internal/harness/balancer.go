package harness

import (
	"context"
	"time"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// BalancerTimeout bounds the time until a Service of type LoadBalancer has an address
// and answers there; for the first one of a cluster, MetalLB must start.
const BalancerTimeout = 2 * time.Minute

// Expose makes a Service of type LoadBalancer and returns it with its addresses.
func (c *Cluster) Expose(ctx context.Context, ns string, s *corev1.Service) *corev1.Service {
	ginkgo.GinkgoHelper()
	services := c.Client.CoreV1().Services(ns)
	made, err := services.Create(ctx, s, metav1.CreateOptions{})
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	gomega.Eventually(ctx, func(ctx context.Context) ([]corev1.LoadBalancerIngress, error) {
		made, err = services.Get(ctx, s.Name, metav1.GetOptions{})
		return made.Status.LoadBalancer.Ingress, err
	}).WithTimeout(BalancerTimeout).Should(gomega.Not(gomega.BeEmpty()), "an address for Service %s", s.Name)
	return made
}

// BalancerIP is the first address of a Service that Expose has returned.
func BalancerIP(s *corev1.Service) string { return s.Status.LoadBalancer.Ingress[0].IP }

// Answers waits until a URL is answered on the host.
func Answers(ctx context.Context, url string, text gomega.OmegaMatcher) {
	ginkgo.GinkgoHelper()
	gomega.Eventually(ctx, func(ctx context.Context) (string, error) {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		return Get(ctx, url)
	}).WithTimeout(BalancerTimeout).Should(text, url)
}
