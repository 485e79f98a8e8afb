package lifecycle_test

import (
	"os"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

var _ = Describe("kluster delete", harness.Short, func() {
	It("removes all of a cluster, once and again, and leaves other contexts alone", func(ctx SpecContext) {
		k := harness.New()
		name := named(k, "delete")
		other := clientcmdapi.NewConfig()
		other.Clusters["other"] = &clientcmdapi.Cluster{Server: "https://other.test:6443"}
		other.AuthInfos["other"] = &clientcmdapi.AuthInfo{Token: "t"}
		other.Contexts["other"] = &clientcmdapi.Context{Cluster: "other", AuthInfo: "other"}
		other.CurrentContext = "other"
		Expect(clientcmd.WriteToFile(*other, k.Kubeconfig)).To(Succeed())

		k.Create(ctx, name, "--nodes", "1")
		Expect(contexts(k)).To(ContainElements("other", "kluster-"+name))
		stat, err := os.Stat(k.Kubeconfig)
		Expect(err).NotTo(HaveOccurred())
		Expect(stat.Mode().Perm()).To(Equal(os.FileMode(0o600)))

		k.Must(ctx, "delete", name)
		expectNothingLeft(ctx, k, name)
		Expect(contexts(k)).To(HaveEach("other"))
		k.Must(ctx, "delete", name)
	})

	It("removes what is left of a cluster whose containers are gone", func(ctx SpecContext) {
		k, e := harness.New(), engine(ctx)
		name := named(k, "remains")
		k.Create(ctx, name, "--nodes", "1")
		list, err := e.Containers(ctx, name)
		Expect(err).NotTo(HaveOccurred())
		for _, found := range list {
			Expect(e.Remove(ctx, found.Name)).To(Succeed())
		}
		Expect(e.Leftovers(ctx, name)).NotTo(BeEmpty(), "the network and the volumes")
		k.Must(ctx, "delete", name)
		expectNothingLeft(ctx, k, name)
	})

	It("is content when there is no such cluster", func(ctx SpecContext) {
		harness.New().Must(ctx, "delete", harness.Name("none"))
	})
})
