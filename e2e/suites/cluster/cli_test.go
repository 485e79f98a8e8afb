package cluster_test

import (
	"os"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

// info is a cluster in the JSON of kluster.
type info struct {
	Name, KubernetesVersion, Runtime, Status, Server string
	Nodes                                            []harness.Machine
}

var _ = Describe("kluster create -o json", harness.Short, func() {
	It("says what was made", func(ctx SpecContext) {
		Expect(c.Summary).To(And(
			HaveField("Name", c.Name), HaveField("Context", "kluster-"+c.Name), HaveField("Kubeconfig", c.Kubeconfig),
			HaveField("Server", c.Config.Host), HaveField("Seconds", BeNumerically(">", 0)),
			HaveField("KubernetesVersion", c.Nodes(ctx)[0].Status.NodeInfo.KubeletVersion),
		))
		Expect(c.Summary.Nodes).To(ContainElement(And(
			HaveField("Name", controlPlane(1)), HaveField("Role", "control-plane"), HaveField("State", "running"))))
	})
})

var _ = Describe("kluster get", harness.Short, func() {
	It("lists clusters", func(ctx SpecContext) {
		Expect(c.Must(ctx, "get", "clusters", "-o", "name").Lines()).To(ContainElement(c.Name))
		var list []info
		c.Must(ctx, "get", "clusters", "-o", "json").Decode(&list)
		Expect(list).To(ContainElement(And(
			HaveField("Name", c.Name), HaveField("Status", "running"), HaveField("Runtime", "containerd"),
			HaveField("KubernetesVersion", c.Nodes(ctx)[0].Status.NodeInfo.KubeletVersion),
			HaveField("Server", c.Config.Host), HaveField("Nodes", HaveLen(nodes+1)),
		)))
		Expect(c.Must(ctx, "get", "clusters").Stdout).To(ContainSubstring(c.Name))
	})

	It("lists nodes", func(ctx SpecContext) {
		names := c.Must(ctx, "get", "nodes", "--cluster", c.Name, "-o", "name").Lines()
		Expect(names).To(ContainElements(controlPlane(1), controlPlane(2), controlPlane(3)))
		var list []harness.Machine
		c.Must(ctx, "get", "nodes", "--cluster", c.Name, "-o", "json").Decode(&list)
		for _, n := range c.Nodes(ctx) {
			Expect(list).To(ContainElement(And(
				HaveField("Name", n.Name), HaveField("Cluster", c.Name), HaveField("Role", "control-plane"),
				HaveField("State", "running"), HaveField("Addresses", ContainElement(harness.InternalIP(n))),
			)))
		}
	})

	It("lists node images and what is in them", func(ctx SpecContext) {
		Expect(c.Must(ctx, "get", "images", "-o", "name").Lines()).NotTo(BeEmpty())
		r := c.Must(ctx, "get", "images", "-o", "json")
		var list []struct{ Manifest struct{ Kubernetes string } }
		r.Decode(&list)
		version := c.Nodes(ctx)[0].Status.NodeInfo.KubeletVersion
		Expect(list).To(ContainElement(HaveField("Manifest.Kubernetes", version)), r.String())
	})

	It("prints a kubeconfig that works", func(ctx SpecContext) {
		file := GinkgoT().TempDir() + "/alone"
		out := c.Must(ctx, "get", "kubeconfig", "--cluster", c.Name).Stdout
		Expect(os.WriteFile(file, []byte(out), 0o600)).To(Succeed())
		alone := &harness.Kluster{Bin: c.Bin, Kubeconfig: file}
		again, err := harness.Connect(alone, c.Name)
		Expect(err).NotTo(HaveOccurred())
		Expect(again.Nodes(ctx)).To(HaveLen(nodes))
	})
})

var _ = Describe("The kubeconfig file", harness.Short, func() {
	It("has the cluster as the current context and is its owner's alone", func() {
		stat, err := os.Stat(c.Kubeconfig)
		Expect(err).NotTo(HaveOccurred())
		Expect(stat.Mode().Perm()).To(Equal(os.FileMode(0o600)))
		cfg, err := clientcmd.LoadFromFile(c.Kubeconfig)
		Expect(err).NotTo(HaveOccurred())
		Expect(cfg.CurrentContext).To(Equal("kluster-" + c.Name))
		Expect(cfg.Clusters[cfg.Contexts[cfg.CurrentContext].Cluster].Server).To(HavePrefix("https://127.0.0.1:"))
	})
})

var _ = Describe("kluster exec", harness.Short, func() {
	It("hands on exit codes, stdout and stderr", func(ctx SpecContext) {
		r := c.Exec(ctx, controlPlane(1), "sh", "-c", "echo out; echo err >&2; exit 42")
		Expect(r).To(And(HaveField("Code", 42), HaveField("Stdout", "out\n"), HaveField("Stderr", ContainSubstring("err"))), r.String())
	})

	It("hands on stdin, byte for byte", func(ctx SpecContext) {
		text := strings.Repeat("0123456789abcdef\n", 1<<14) + "\x00\xff"
		r := c.RunIn(ctx, strings.NewReader(text), "exec", "-i", "--cluster", c.Name, controlPlane(2), "--", "cat")
		Expect(r.Code).To(Equal(0))
		Expect(r.Stdout == text).To(BeTrue(), "%d bytes in, %d out", len(text), len(r.Stdout))
	})

	It("names the nodes there are when asked for another", func(ctx SpecContext) {
		r := c.Exec(ctx, "no-such-node", "true")
		Expect(r.Code).To(BeElementOf(1, 2), r.String())
		Expect(r.Stderr).To(ContainSubstring("no-such-node"))
	})
})

var _ = Describe("kluster kubectl", harness.Short, func() {
	It("talks to the cluster", func(ctx SpecContext) {
		r := c.Must(ctx, "kubectl", "--cluster", c.Name, "--", "get", "nodes", "-o", "name")
		Expect(r.Lines()).To(ConsistOf("node/"+controlPlane(1), "node/"+controlPlane(2), "node/"+controlPlane(3)))
	})

	It("takes manifests on stdin", func(ctx SpecContext) {
		ns := c.Namespace(ctx)
		manifest := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: from-stdin}\n"
		r := c.RunIn(ctx, strings.NewReader(manifest), "kubectl", "--cluster", c.Name, "--", "apply", "-n", ns, "-f", "-")
		Expect(r.Code).To(Equal(0), r.String())
		Expect(r.Stdout).To(ContainSubstring("from-stdin"))
	})

	It("hands on kubectl's failure", func(ctx SpecContext) {
		r := c.Run(ctx, "kubectl", "--cluster", c.Name, "--", "get", "nonsense")
		Expect(r.Code).To(Equal(1), r.String())
	})
})
