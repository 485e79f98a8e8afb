package lifecycle_test

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

// etcdCommand is what the etcd of a node runs with.
func etcdCommand(ctx context.Context, c *harness.Cluster, node string) ([]string, error) {
	pod, err := c.Client.CoreV1().Pods("kube-system").Get(ctx, "etcd-"+node, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return pod.Spec.Containers[0].Command, nil
}

// logLimits are the part of a kubelet's configuration that caps container logs.
type logLimits struct {
	ContainerLogMaxSize  string
	ContainerLogMaxFiles int
}

// logLimitsOf asks a node's kubelet.
func logLimitsOf(ctx context.Context, c *harness.Cluster, node string) (logLimits, error) {
	b, err := c.Client.CoreV1().RESTClient().Get().AbsPath("/api/v1/nodes/" + node + "/proxy/configz").DoRaw(ctx)
	if err != nil {
		return logLimits{}, err
	}
	var found struct{ KubeletConfig logLimits }
	return found.KubeletConfig, json.Unmarshal(b, &found)
}

// writeSome makes ConfigMaps and returns their names.
func writeSome(ctx context.Context, c *harness.Cluster) []string {
	GinkgoHelper()
	var names []string
	for i := range 20 {
		m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("written-%d", i)}}
		_, err := c.Client.CoreV1().ConfigMaps("default").Create(ctx, m, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		names = append(names, m.Name)
	}
	return names
}

// configMaps are the names of those in the namespace default.
func configMaps(ctx context.Context, c *harness.Cluster) ([]string, error) {
	list, err := c.Client.CoreV1().ConfigMaps("default").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, m := range list.Items {
		names = append(names, m.Name)
	}
	return names, nil
}

var _ = Describe("kluster create --ephemeral", func() {
	It("is marked, and spares the disk", harness.Short, func(ctx SpecContext) {
		k := harness.New()
		name := named(k, "ephemeral")
		c, node := k.Create(ctx, name, "--nodes", "1", "--ephemeral"), name+"-control-plane-1"
		Expect(c.Summary.Notes).To(ContainElement(ContainSubstring("does not survive a power cut")))
		var list []struct {
			Name      string
			Ephemeral bool
		}
		k.Must(ctx, "get", "clusters", "-o", "json").Decode(&list)
		Expect(list).To(ContainElement(And(HaveField("Name", name), HaveField("Ephemeral", true))))
		Expect(k.Must(ctx, "get", "clusters").Stdout).To(MatchRegexp(`(?m)^%s .* yes$`, name))

		// The mirror pod may come after the create has ended.
		Eventually(ctx, etcdCommand).WithArguments(c, node).WithTimeout(time.Minute).
			Should(ContainElement("--unsafe-no-fsync=true"))
		Expect(logLimitsOf(ctx, c, node)).To(Equal(logLimits{"1Mi", 2}))
	})

	It("loses nothing when its node is killed", harness.Long, func(ctx SpecContext) {
		k, e := harness.New(), engine(ctx)
		name := named(k, "ephemeral-killed")
		c, node := k.Create(ctx, name, "--nodes", "1", "--ephemeral"), name+"-control-plane-1"
		written := writeSome(ctx, c)
		Expect(e.Kill(ctx, node)).To(Succeed())
		Expect(e.Start(ctx, node)).To(Succeed())
		// What counts is the data, not how soon they are served.
		Eventually(ctx, configMaps).WithArguments(c).WithTimeout(5 * time.Minute).Should(ContainElements(written))
		c.AwaitNodes(ctx, e, 2*time.Minute)
	})
})
