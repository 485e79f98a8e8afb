package services_test

import (
	"context"
	"fmt"
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

var _ = Describe("Traefik", Ordered, harness.Long, func() {
	var ns, address string

	BeforeAll(func(ctx SpecContext) {
		// The host's port leads to the first addresses only.
		Eventually(ctx, balanced).WithTimeout(harness.BalancerTimeout).Should(BeEmpty(), "Services of earlier specs")
		c.Must(ctx, "addon", "install", "--cluster", c.Name, "traefik")
		DeferCleanup(func(ctx context.Context) { c.Must(ctx, "addon", "uninstall", "--cluster", c.Name, "traefik") })
		Eventually(ctx, func(ctx context.Context) (string, error) {
			s, err := c.Client.CoreV1().Services("traefik").Get(ctx, "traefik", metav1.GetOptions{})
			if err == nil && len(s.Status.LoadBalancer.Ingress) > 0 {
				address = harness.BalancerIP(s)
			}
			return address, err
		}).WithTimeout(harness.BalancerTimeout).ShouldNot(BeEmpty())

		ns = c.Namespace(ctx)
		c.Deploy(ctx, ns, harness.Deployment("web", 1, harness.Web(c.Image(ctx, "agnhost"))))
		_, err := c.Client.CoreV1().Services(ns).Create(ctx, harness.Service("web", "web", corev1.ServiceTypeClusterIP), metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
	})

	It("serves an Ingress of the default class, and tells its address", func(ctx SpecContext) {
		prefix := networkingv1.PathTypePrefix
		ingresses := c.Client.NetworkingV1().Ingresses(ns)
		_, err := ingresses.Create(ctx, &networkingv1.Ingress{
			ObjectMeta: metav1.ObjectMeta{Name: "web"},
			Spec: networkingv1.IngressSpec{Rules: []networkingv1.IngressRule{{
				Host: "ingress.test",
				IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{{
					Path: "/", PathType: &prefix,
					Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{
						Name: "web", Port: networkingv1.ServiceBackendPort{Number: 80},
					}},
				}}}},
			}}},
		}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		servesFor(ctx, address, "ingress.test")
		servesFor(ctx, hostPort(ctx), "ingress.test")
		Eventually(ctx, func(ctx context.Context) ([]networkingv1.IngressLoadBalancerIngress, error) {
			i, err := ingresses.Get(ctx, "web", metav1.GetOptions{})
			return i.Status.LoadBalancer.Ingress, err
		}).WithTimeout(time.Minute).Should(ContainElement(HaveField("IP", address)))
	})

	It("serves an HTTPRoute of its Gateway", func(ctx SpecContext) {
		route := fmt.Sprintf(`{"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "web", "namespace": %q},
			"spec": {"parentRefs": [{"name": "traefik", "namespace": "traefik"}], "hostnames": ["route.test"],
			"rules": [{"backendRefs": [{"name": "web", "port": 80}]}]}}`, ns)
		err := c.Client.CoreV1().RESTClient().Post().
			AbsPath("/apis/gateway.networking.k8s.io/v1/namespaces/"+ns+"/httproutes").
			SetHeader("Content-Type", "application/json").Body([]byte(route)).Do(ctx).Error()
		Expect(err).NotTo(HaveOccurred())
		servesFor(ctx, address, "route.test")
		servesFor(ctx, hostPort(ctx), "route.test")
	})
})

// balanced are all Services of type LoadBalancer.
func balanced(ctx context.Context) ([]corev1.Service, error) {
	list, err := c.Client.CoreV1().Services(metav1.NamespaceAll).List(ctx, metav1.ListOptions{FieldSelector: "spec.type=LoadBalancer"})
	return list.Items, err
}

// servesFor waits until the web server answers requests for a host at an address, and
// sees that it does not for another.
func servesFor(ctx context.Context, address, host string) {
	GinkgoHelper()
	Eventually(ctx, func(ctx context.Context) (int, error) { return status(ctx, address, host) }).
		WithTimeout(harness.BalancerTimeout).Should(Equal(http.StatusOK), "%s at %s", host, address)
	Expect(status(ctx, address, "other.test")).To(Equal(http.StatusNotFound))
}

// status is what a request for a host is answered at an address.
func status(ctx context.Context, address, host string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/hostname", nil)
	if err != nil {
		return 0, err
	}
	req.Host = host
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}
