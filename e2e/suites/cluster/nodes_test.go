package cluster_test

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	. "github.com/onsi/gomega/gstruct"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
	"github.com/kluster-project/kluster/internal/nodespec"
)

var _ = Describe("The nodes", harness.Short, func() {
	It("are all Ready when create returns", func(ctx SpecContext) {
		Expect(c.Nodes(ctx)).To(HaveLen(nodes))
		Expect(c.NotReady(ctx)).To(BeEmpty())
	})

	It("are all control planes that take pods", func(ctx SpecContext) {
		for _, n := range c.Nodes(ctx) {
			Expect(n.Labels).To(HaveKey("node-role.kubernetes.io/control-plane"), n.Name)
			Expect(n.Labels).NotTo(HaveKey("node.kubernetes.io/exclude-from-external-load-balancers"), n.Name)
			Expect(n.Spec.Taints).To(BeEmpty(), n.Name)
		}
	})

	It("have three voting etcd members and no learner", func(ctx SpecContext) {
		for i := range nodes {
			node := controlPlane(i + 1)
			Eventually(ctx, func(ctx context.Context) (int, error) { return c.EtcdVoters(ctx, node) }).
				WithTimeout(time.Minute).Should(Equal(nodes), "seen from %s", node)
			members, err := c.EtcdMembers(ctx, node)
			Expect(err).NotTo(HaveOccurred())
			Expect(members).To(HaveLen(nodes))
			Expect(members).To(HaveEach(MatchFields(IgnoreExtras, Fields{"Learner": BeFalse()})))
		}
	})

	It("run the components of Kubernetes and no others", func(ctx SpecContext) {
		for i := range nodes {
			for _, component := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"} {
				Eventually(ctx, podReady("kube-system", component+"-"+controlPlane(i+1))).
					WithTimeout(time.Minute).Should(BeTrue(), component)
			}
		}
	})

	It("carry the cluster's label on every container, volume and network", func(ctx SpecContext) {
		e := engine(ctx)
		list, err := e.Containers(ctx, c.Name)
		Expect(err).NotTo(HaveOccurred())
		labelled, err := e.Volumes(ctx, c.Name)
		Expect(err).NotTo(HaveOccurred())
		var names []string
		for _, found := range list {
			names = append(names, found.Name)
			Expect(found.Labels).To(HaveKeyWithValue(nodespec.LabelCluster, c.Name))
			Expect(labelled).To(ContainElements(found.Volumes), "volumes of %s", found.Name)
		}
		Expect(names).To(ConsistOf(controlPlane(1), controlPlane(2), controlPlane(3), c.Name+"-lb"))
		Expect(e.Networks(ctx, c.Name)).To(HaveLen(1))
	})

	It("listen on 127.0.0.1 only", func(ctx SpecContext) {
		list, err := engine(ctx).Containers(ctx, c.Name)
		Expect(err).NotTo(HaveOccurred())
		published := 0
		for _, found := range list {
			for port, at := range found.Ports {
				Expect(at).To(HavePrefix("127.0.0.1:"), "%s of %s", port, found.Name)
				published++
			}
		}
		Expect(published).To(Equal(1), "the API's")
	})

	It("have the addresses that the engine gave them", func(ctx SpecContext) {
		e := engine(ctx)
		for _, n := range c.Nodes(ctx) {
			found, err := e.Inspect(ctx, n.Name)
			Expect(err).NotTo(HaveOccurred())
			Expect(harness.InternalIP(n)).To(Equal(found.Address))
		}
	})

	It("cost megabytes of runtime state, not a copy of the images", func(ctx SpecContext) {
		for _, n := range c.Nodes(ctx) {
			var kib int
			_, err := fmt.Sscan(c.MustExec(ctx, n.Name, "du", "-sk", "/var/lib/containerd"), &kib)
			Expect(err).NotTo(HaveOccurred())
			Expect(kib).To(BeNumerically("<", 100<<10), n.Name)
		}
	})
})

// controlPlane is the name of the suite's i-th control plane, from 1.
func controlPlane(i int) string { return fmt.Sprintf("%s-control-plane-%d", c.Name, i) }
