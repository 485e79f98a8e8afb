package cluster_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

var _ = Describe("kluster addon", harness.Short, Ordered, func() {
	// ofAddon are all objects that carry the label of an add-on, by kind and name.
	ofAddon := func(ctx context.Context, name string) []string {
		GinkgoHelper()
		const kinds = "all,configmaps,serviceaccounts,clusterroles,clusterrolebindings,roles,rolebindings,apiservices,endpointslices"
		return c.Must(ctx, "kubectl", "--cluster", c.Name, "--", "get", kinds, "-A", "-l", "kluster.dev/addon="+name, "-o", "name").Lines()
	}

	It("refuses one that there is not, and changes nothing", func(ctx SpecContext) {
		r := c.Run(ctx, "addon", "install", "metrics-sever", "--cluster", c.Name)
		Expect(r.Code).To(Equal(2), r.String())
		Expect(r.Stderr).To(ContainSubstring(`did you mean "metrics-server"?`))
		r = c.Run(ctx, "create", "--name", harness.Name("addon"), "--addon", "metrics-sever")
		Expect(r.Code).To(Equal(2), r.String())
		Expect(r.Stderr).To(ContainSubstring(`did you mean "metrics-server"?`))
		r = c.Run(ctx, "addon", "uninstall", "metrics-server", "--cluster", c.Name)
		Expect(r.Code).To(Equal(2), r.String())
		Expect(r.Stderr).To(ContainSubstring("is not installed"))
	})

	It("installs metrics-server, which has figures of all nodes then", func(ctx SpecContext) {
		Expect(c.Must(ctx, "addon", "install", "metrics-server", "--cluster", c.Name).Stdout).To(Equal("metrics-server\n"))
		Expect(ofAddon(ctx, "metrics-server")).To(ContainElements(
			"deployment.apps/metrics-server", "apiservice.apiregistration.k8s.io/v1beta1.metrics.k8s.io", "configmap/kluster-addon-metrics-server"))
		Eventually(ctx, func(ctx context.Context) []string {
			return c.Run(ctx, "kubectl", "--cluster", c.Name, "--", "top", "nodes", "--no-headers").Lines()
		}).WithTimeout(time.Minute).Should(HaveEach(MatchRegexp(`^\S+ +\d+m +\d+% +\d+Mi +\d+%`)))
		var list []struct{ Name, State string }
		c.Must(ctx, "addon", "list", "--cluster", c.Name, "-o", "json").Decode(&list)
		Expect(list).To(ContainElement(And(HaveField("Name", "metrics-server"), HaveField("State", "installed"))))
	})

	It("verifies the kubelets' certificates", func(ctx SpecContext) {
		d, err := c.Client.AppsV1().Deployments(metav1.NamespaceSystem).Get(ctx, "metrics-server", metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		args := d.Spec.Template.Spec.Containers[0].Args
		Expect(args).To(ContainElement(HavePrefix("--kubelet-certificate-authority=")))
		Expect(args).NotTo(ContainElement(ContainSubstring("insecure")))
		for _, n := range c.Nodes(ctx) {
			for _, name := range []string{n.Name, harness.InternalIP(n)} {
				c.MustExec(ctx, n.Name, "curl", "-sS", "--cacert", "/etc/kubernetes/pki/ca.crt", "--resolve", n.Name+":10250:"+harness.InternalIP(n), "https://"+name+":10250/healthz")
			}
		}
	})

	It("installs it a second time over the first", func(ctx SpecContext) {
		before := ofAddon(ctx, "metrics-server")
		c.Must(ctx, "addon", "install", "metrics-server", "--cluster", c.Name)
		Expect(ofAddon(ctx, "metrics-server")).To(ConsistOf(before))
	})

	It("leaves nothing of it", func(ctx SpecContext) {
		c.Must(ctx, "addon", "uninstall", "metrics-server", "--cluster", c.Name)
		Expect(ofAddon(ctx, "metrics-server")).To(BeEmpty())
		Expect(c.Pods(ctx, metav1.NamespaceSystem, "metrics-server")).To(BeEmpty())
		all := c.Must(ctx, "kubectl", "--cluster", c.Name, "--", "get", "all,apiservices,clusterroles,clusterrolebindings,rolebindings,serviceaccounts,configmaps", "-A", "-o", "name")
		Expect(all.Lines()).NotTo(ContainElement(ContainSubstring("metrics")))
	})
})
