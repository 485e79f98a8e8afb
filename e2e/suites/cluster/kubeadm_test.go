package cluster_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

var _ = Describe("kubeadm inside a control plane", harness.Short, func() {
	It("knows every certificate", func(ctx SpecContext) {
		out := c.MustExec(ctx, controlPlane(1), "kubeadm", "certs", "check-expiration")
		Expect(out).NotTo(ContainSubstring("MISSING"))
	})

	It("renews all certificates", func(ctx SpecContext) {
		node := controlPlane(2)
		before := c.MustExec(ctx, node, "cat", "/etc/kubernetes/pki/apiserver.crt")
		c.MustExec(ctx, node, "kubeadm", "certs", "renew", "all")
		Expect(c.MustExec(ctx, node, "cat", "/etc/kubernetes/pki/apiserver.crt")).NotTo(Equal(before))
		c.MustExec(ctx, node, "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "get", "--raw=/readyz")
	})

	It("makes tokens", func(ctx SpecContext) {
		out := c.MustExec(ctx, controlPlane(3), "kubeadm", "token", "create", "--print-join-command", "--ttl=10m")
		Expect(out).To(MatchRegexp(`kubeadm join \S+:16443 --token \S+ --discovery-token-ca-cert-hash sha256:[0-9a-f]{64}`))
	})

	// The test is a unit test that needs a kubeadm and may write what it likes.
	It("takes whatever kluster renders", func(ctx SpecContext) {
		const copied = "/root/render.test" // nothing in /tmp can be run
		program, err := os.Open(compiledTest(ctx, "github.com/kluster-project/kluster/internal/kubeadm"))
		Expect(err).NotTo(HaveOccurred())
		defer program.Close()
		node := controlPlane(1)
		copying := c.RunIn(ctx, program, "exec", "-i", "--cluster", c.Name, node, "--", "sh", "-c", "cat >"+copied+" && chmod +x "+copied)
		Expect(copying.Code).To(Equal(0), copying.String())
		DeferCleanup(func(ctx context.Context) { c.MustExec(ctx, node, "rm", copied) })
		out := c.MustExec(ctx, node, "env", "KLUSTER_TEST_KUBEADM=kubeadm", copied, "-test.run=^TestRealKubeadm$", "-test.v")
		Expect(out).To(ContainSubstring("--- PASS: TestRealKubeadm "))
	})

	It("plans an upgrade", func(ctx SpecContext) {
		version := c.Nodes(ctx)[0].Status.NodeInfo.KubeletVersion
		Eventually(ctx, func(ctx context.Context) harness.Result {
			return c.Exec(ctx, controlPlane(1), "kubeadm", "upgrade", "plan", version, "--ignore-preflight-errors=all")
		}).WithTimeout(3 * time.Minute).Should(And(HaveField("Code", 0), HaveField("Stdout", ContainSubstring(version))))
	})
})

// compiledTest is the program of a package's tests, which runs in any node.
func compiledTest(ctx context.Context, pkg string) string {
	GinkgoHelper()
	program := filepath.Join(GinkgoT().TempDir(), "test")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-trimpath", "-o", program, pkg)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(out))
	return program
}
