package cluster_test

import (
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

var _ = Describe("kluster registry", harness.Short, func() {
	It("lets nodes pull by the name that the host pushes to", func(ctx SpecContext) {
		e, local := engine(ctx), c.LocalRegistry(ctx)
		c.Must(ctx, "registry", "connect", "--cluster", c.Name, local.Name)
		ref := local.Address + "/" + c.Name + "/hello:v1"
		e.PushProgram(ctx, ref, "from the host")
		ns := c.Namespace(ctx)
		for i, n := range c.Nodes(ctx) {
			Expect(c.FinishPod(ctx, ns, harness.Pod(fmt.Sprintf("pushed-%d", i), n.Name, harness.Pulled(ref)))).To(Equal("from the host"), n.Name)
		}
		told, err := c.Client.CoreV1().ConfigMaps("kube-public").Get(ctx, "local-registry-hosting", metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(told.Data).To(HaveKeyWithValue("localRegistryHosting.v1", ContainSubstring("host: "+local.Address)))
	})

	It("keeps in a cache what one node has pulled, for others without the registry", func(ctx SpecContext) {
		e := engine(ctx)
		upstream := c.Name + ".example"
		u := e.StartUpstream(ctx, c.Name+"-upstream", c.MustImage(ctx))
		e.PushProgram(ctx, u.Address+"/team/app:v1", "from far away")
		DeferCleanup(func(ctx SpecContext) { c.Must(ctx, "registry", "delete", upstream, "--force") })
		c.Must(ctx, "registry", "create", "--cache", upstream+"="+u.URL)
		c.Must(ctx, "registry", "connect", "--cluster", c.Name, upstream)

		ns, ref := c.Namespace(ctx), upstream+"/team/app:v1"
		for i, n := range c.Nodes(ctx) {
			Expect(c.FinishPod(ctx, ns, harness.Pod(fmt.Sprintf("cached-%d", i), n.Name, harness.Pulled(ref)))).To(Equal("from far away"), n.Name)
			Expect(u.Remove(ctx)).To(Succeed())
		}
	})

	It("says what it cannot do", func(ctx SpecContext) {
		local := c.LocalRegistry(ctx)
		r := c.Run(ctx, "registry", "create", "--port", "1")
		Expect(r.Code).To(Equal(4), r.String())
		Expect(r.Stderr).To(ContainSubstring("kluster-registry is there already, as the local registry at " + local.Address))
		r = c.Run(ctx, "registry", "connect", "--cluster", c.Name, "none.example")
		Expect(r.Code).To(Equal(2), r.String())
		Expect(r.Stderr).To(ContainSubstring(`no registry "none.example"`))
	})
})
