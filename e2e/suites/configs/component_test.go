package configs_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/pelletier/go-toml/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// dig is what lies at a path in decoded JSON, YAML or TOML; nil for nothing.
func dig(v any, path ...string) any {
	for _, key := range path {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	return v
}

// holds compares a decoded value, whatever its format makes of numbers.
func holds(got, want any) {
	GinkgoHelper()
	Expect(fmt.Sprint(got)).To(Equal(fmt.Sprint(want)))
}

// flags are the flags of a control plane's static pod.
func (c *made) flags(ctx context.Context, node, component string) map[string]string {
	GinkgoHelper()
	var pod corev1.Pod
	text := c.MustExec(ctx, c.node(node), "cat", "/etc/kubernetes/manifests/"+component+".yaml")
	Expect(yaml.Unmarshal([]byte(text), &pod)).To(Succeed())
	Expect(pod.Spec.Containers).To(HaveLen(1))
	return parseFlags(append(pod.Spec.Containers[0].Command, pod.Spec.Containers[0].Args...))
}

func parseFlags(words []string) map[string]string {
	out := map[string]string{}
	for _, w := range words {
		if rest, ok := strings.CutPrefix(w, "--"); ok {
			name, value, _ := strings.Cut(rest, "=")
			out[name] = value
		}
	}
	return out
}

// flag checks a flag of a component of the first control plane.
func flag(component, name, value string) check {
	return check{fmt.Sprintf("%s --%s=%s", component, name, value), func(ctx SpecContext, c *made) {
		Expect(c.flags(ctx, "control-plane-1", component)).To(HaveKeyWithValue(name, value))
	}}
}

func noFlag(component, name string) check {
	return check{fmt.Sprintf("%s without --%s", component, name), func(ctx SpecContext, c *made) {
		Expect(c.flags(ctx, "control-plane-1", component)).NotTo(HaveKey(name))
	}}
}

// kubelet checks a field of the configuration that a node's kubelet runs with.
// A kubelet turns API servers away until it has heard of their rights.
func kubelet(node string, want any, path ...string) check {
	return check{fmt.Sprintf("kubelet of %s: %v is %v", node, path, want), func(ctx SpecContext, c *made) {
		var b []byte
		Eventually(ctx, func(ctx context.Context) (err error) {
			b, err = c.Client.CoreV1().RESTClient().Get().AbsPath("/api/v1/nodes/" + c.node(node) + "/proxy/configz").DoRaw(ctx)
			return err
		}).WithTimeout(settle).Should(Succeed())
		var doc map[string]any
		Expect(json.Unmarshal(b, &doc)).To(Succeed())
		holds(dig(doc["kubeletconfig"], path...), want)
	}}
}

// containerd checks a field of a node's containerd configuration.
func containerd(node string, want any, path ...string) check {
	return check{fmt.Sprintf("containerd of %s: %v is %v", node, path, want), func(ctx SpecContext, c *made) {
		var doc map[string]any
		text := c.MustExec(ctx, c.node(node), "cat", "/etc/containerd/config.toml")
		Expect(toml.Unmarshal([]byte(text), &doc)).To(Succeed())
		holds(dig(doc, path...), want)
	}}
}

// proxy checks a field of kube-proxy's configuration.
func proxy(want any, path ...string) check {
	return check{fmt.Sprintf("kube-proxy: %v is %v", path, want), func(ctx SpecContext, c *made) {
		cm, err := c.Client.CoreV1().ConfigMaps("kube-system").Get(ctx, "kube-proxy", metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		var doc map[string]any
		Expect(yaml.Unmarshal([]byte(cm.Data["config.conf"]), &doc)).To(Succeed())
		holds(dig(doc, path...), want)
	}}
}

func proxyMode(mode string) check { return proxy(mode, "mode") }

var noProxy = check{"no kube-proxy", func(ctx SpecContext, c *made) {
	_, err := c.Client.AppsV1().DaemonSets("kube-system").Get(ctx, "kube-proxy", metav1.GetOptions{})
	Expect(err).To(Satisfy(apierrors.IsNotFound))
}}

// said checks that create has told, both people and programs, what it did not
// wait for.
var said = check{"a note of what create did not wait for", func(_ SpecContext, c *made) {
	Expect(c.Notes).To(ContainElement(ContainSubstring("cni or kube-proxy is none")))
	Expect(c.Talk).To(ContainSubstring("cni or kube-proxy is none"))
}}

// certifies checks names of the API's certificate.
func certifies(names ...string) check {
	return check{fmt.Sprintf("the API's certificate is for %v", names), func(ctx SpecContext, c *made) {
		text := c.MustExec(ctx, c.node("control-plane-1"), "cat", "/etc/kubernetes/pki/apiserver.crt")
		block, _ := pem.Decode([]byte(text))
		Expect(block).NotTo(BeNil(), text)
		cert, err := x509.ParseCertificate(block.Bytes)
		Expect(err).NotTo(HaveOccurred())
		Expect(cert.DNSNames).To(ContainElements(names))
	}}
}

func etcdVoters(want int) check {
	return check{fmt.Sprintf("%d voting members of etcd", want), func(ctx SpecContext, c *made) {
		Eventually(ctx, func(ctx context.Context) (int, error) { return c.EtcdVoters(ctx, c.node("control-plane-1")) }).
			WithTimeout(settle).Should(Equal(want))
	}}
}
