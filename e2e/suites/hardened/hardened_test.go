package hardened_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

const hidden = "h1dden-in-etcd-0123456789"

// stored is what etcd holds of an object, as its own snapshot would show it.
func stored(ctx context.Context, c *harness.Cluster, key string) string {
	GinkgoHelper()
	const pki = "/etc/kubernetes/pki/etcd/"
	r := c.PodExec(ctx, "kube-system", "etcd-"+c.Name+"-control-plane-1", "etcdctl", "--endpoints=https://127.0.0.1:2379",
		"--cacert="+pki+"ca.crt", "--cert="+pki+"server.crt", "--key="+pki+"server.key", "get", "--print-value-only", key)
	Expect(r.Code).To(Equal(0), r.String())
	return r.Stdout
}

// anonymously is how the API answers somebody without a certificate.
func anonymously(ctx context.Context, c *harness.Cluster, path string) int {
	GinkgoHelper()
	roots := x509.NewCertPool()
	Expect(roots.AppendCertsFromPEM(c.Config.CAData)).To(BeTrue())
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Config.Host+path, nil)
	Expect(err).NotTo(HaveOccurred())
	resp, err := client.Do(req)
	Expect(err).NotTo(HaveOccurred())
	Expect(resp.Body.Close()).To(Succeed())
	return resp.StatusCode
}

var _ = Describe("A hardened cluster", Ordered, ContinueOnFailure, harness.Long, func() {
	var c *harness.Cluster
	var e *harness.Engine
	var ns string

	BeforeAll(func(ctx SpecContext) {
		e, c = harness.SpecEngine(ctx), made(ctx)
		ns = c.Namespace(ctx)
	}, createLimit)

	It("keeps Secrets encrypted in etcd", func(ctx SpecContext) {
		meta := metav1.ObjectMeta{Name: "hidden"}
		_, err := c.Client.CoreV1().Secrets(ns).Create(ctx, &corev1.Secret{ObjectMeta: meta, StringData: map[string]string{"k": hidden}}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		_, err = c.Client.CoreV1().ConfigMaps(ns).Create(ctx, &corev1.ConfigMap{ObjectMeta: meta, Data: map[string]string{"k": hidden}}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(stored(ctx, c, "/registry/configmaps/"+ns+"/hidden")).To(ContainSubstring(hidden), "what is not encrypted is found")
		secret := stored(ctx, c, "/registry/secrets/"+ns+"/hidden")
		Expect(secret).To(HavePrefix("k8s:enc:secretbox:v1:kluster-1:"))
		Expect(secret).NotTo(ContainSubstring(hidden))
	})

	It("has a key of its own, which only control planes hold", func(ctx SpecContext) {
		for _, n := range c.Nodes(ctx) {
			Expect(c.MustExec(ctx, n.Name, "stat", "-c", "%a %U", "/etc/kluster/apiserver/encryption.yaml")).To(Equal("600 root\n"))
		}
		secrets := c.Secrets(ctx, e)
		Expect(secrets).To(ContainElement(HaveField("Name", ContainSubstring("encryption.yaml"))))
		Expect(harness.Seen(secrets, c.Places(ctx, e, filepath.Join(GinkgoT().TempDir(), "bundle")))).To(BeEmpty())
	})

	It("refuses privileged pods in a user's namespace, and takes them where its labels say so", func(ctx SpecContext) {
		yes := true
		pod := harness.Pod("privileged", "", harness.Idle(c.Image(ctx, "busybox")))
		pod.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{Privileged: &yes}
		_, err := c.Client.CoreV1().Pods(ns).Create(ctx, pod, metav1.CreateOptions{})
		Expect(err).To(And(Satisfy(apierrors.IsForbidden), MatchError(ContainSubstring(`violates PodSecurity "baseline:latest": privileged`))))

		free := c.Namespace(ctx)
		patch := []byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"privileged"}}}`)
		_, err = c.Client.CoreV1().Namespaces().Patch(ctx, free, "application/merge-patch+json", patch, metav1.PatchOptions{})
		Expect(err).NotTo(HaveOccurred())
		Eventually(ctx, func(ctx context.Context) error {
			_, err := c.Client.CoreV1().Pods(free).Create(ctx, pod, metav1.CreateOptions{})
			return err
		}).WithTimeout(10 * time.Second).Should(Succeed())
	})

	It("gives pods the runtime's list of system calls", func(ctx SpecContext) {
		pod := c.RunPod(ctx, ns, harness.Pod("plain", "", harness.Idle(c.Image(ctx, "busybox"))))
		Expect(c.PodExec(ctx, ns, pod.Name, "grep", "Seccomp:", "/proc/1/status").Stdout).To(Equal("Seccomp:\t2\n"))
	})

	It("verifies its kubelets", func(ctx SpecContext) {
		roots := x509.NewCertPool()
		Expect(roots.AppendCertsFromPEM(c.Config.CAData)).To(BeTrue())
		for _, n := range c.Nodes(ctx) {
			dialer := tls.Dialer{Config: &tls.Config{RootCAs: roots}}
			conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(harness.InternalIP(n), "10250"))
			Expect(err).NotTo(HaveOccurred(), n.Name)
			Expect(conn.Close()).To(Succeed())
		}
		// An API server that could not verify a kubelet would not answer this.
		Expect(c.Client.CoreV1().RESTClient().Get().AbsPath("/api/v1/nodes/" + c.Nodes(ctx)[0].Name + "/proxy/healthz").DoRaw(ctx)).To(BeEquivalentTo("ok"))
		Expect(c.MustExec(ctx, c.Name+"-control-plane-1", "cat", "/etc/kubernetes/manifests/kube-apiserver.yaml")).
			To(ContainSubstring("--kubelet-certificate-authority=/etc/kubernetes/pki/ca.crt"))
		Eventually(ctx, func(ctx context.Context) error {
			_, err := c.Client.CoreV1().RESTClient().Get().AbsPath("/apis/metrics.k8s.io/v1beta1/nodes").DoRaw(ctx)
			return err
		}).WithTimeout(time.Minute).Should(Succeed(), "metrics-server")
	})

	It("answers nobody without a name but about health", func(ctx SpecContext) {
		for path, want := range map[string]int{
			"/readyz": http.StatusOK, "/livez": http.StatusOK, "/healthz": http.StatusOK,
			"/version": http.StatusUnauthorized, "/api": http.StatusUnauthorized,
			"/api/v1/namespaces/kube-public/configmaps/cluster-info": http.StatusUnauthorized,
		} {
			Expect(anonymously(ctx, c, path)).To(Equal(want), path)
		}
	})

	It("passes smoke", func(ctx SpecContext) {
		dir := filepath.Join(GinkgoT().TempDir(), "report")
		r := c.Run(ctx, "e2e", "run", "--suite", "smoke", "--cluster", c.Name, "--report-dir", dir)
		Expect(r.Code).To(Equal(0), strings.TrimSpace(r.String()))
		AddReportEntry("smoke", r.Took.Round(time.Second).String())
	}, NodeTimeout(10*time.Minute))

	It("reads its Secrets after a restart of all control planes", func(ctx SpecContext) {
		for i := range controls {
			Expect(e.Restart(ctx, c.Name+"-control-plane-"+string(rune('1'+i)))).To(Succeed())
		}
		Eventually(ctx, func(ctx context.Context) (string, error) {
			s, err := c.Client.CoreV1().Secrets(ns).Get(ctx, "hidden", metav1.GetOptions{})
			if err != nil {
				return "", err
			}
			return string(s.Data["k"]), nil
		}).WithTimeout(3 * time.Minute).Should(Equal(hidden))
		c.AwaitNodes(ctx, e, 3*time.Minute)
	})
})
