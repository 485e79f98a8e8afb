package pulls_test

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
	"github.com/kluster-project/kluster/internal/cri"
)

func basic(name, word string) string {
	return base64.StdEncoding.EncodeToString([]byte(name + ":" + word))
}

// trusting is a transport that trusts an authority besides the machine's.
func trusting(authority []byte) http.RoundTripper {
	GinkgoHelper()
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.Proxy = nil
	if authority != nil {
		roots := x509.NewCertPool()
		Expect(roots.AppendCertsFromPEM(authority)).To(BeTrue())
		t.TLSClientConfig.RootCAs = roots
	}
	DeferCleanup(t.CloseIdleConnections)
	return t
}

// world is what nodes pull from.
type world struct {
	*harness.Cluster
	ns        string
	base      v1.Image
	authority []byte
	// mirror has images of an upstream that does not exist, private is behind TLS of the
	// authority, inFile and inHelper want credentials that the user has, and other wants
	// some that nodes may not use.
	mirror, private, inFile, inHelper, other *server
	proxy                                    *server
	count                                    int
}

const clusterFile = `apiVersion: kluster.dev/v1alpha1
kind: Cluster
nodes:
- {role: control-plane, runtime: containerd, taints: []}
- {role: worker, runtime: cri-dockerd}
- {role: worker, runtime: cri-o}
registries:
  mirrors:
    nowhere.example: ["http://%[1]s"]
    prefixed.example:5000: ["http://127.0.0.1:9", "http://%[1]s/hub"]
  credentials: ["%[2]s", "%[3]s"]
certificateAuthorities: ["%[4]s"]
proxy: {http: "http://%[5]s", https: "http://%[5]s", no: ["%[1]s"]}
`

func newWorld(ctx SpecContext) *world {
	GinkgoHelper()
	authority, cert := privateAuthority()
	w := &world{
		authority: authority.Certificate(), proxy: newProxy(), mirror: newRegistry(nil, false), private: newRegistry(cert, false),
		inFile: newRegistry(cert, true), inHelper: newRegistry(cert, true), other: newRegistry(cert, true),
	}
	k, cluster := harness.New(), harness.Name("pulls")
	dir := filepath.Dir(k.Kubeconfig)
	w.base = program(ctx, dir)
	dockerConfig(k, w.inFile.at, w.inHelper.at)
	ca, file := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cluster.yaml")
	Expect(os.WriteFile(ca, w.authority, 0o600)).To(Succeed())
	Expect(os.WriteFile(file, fmt.Appendf(nil, clusterFile, w.mirror.at, w.inFile.at, w.inHelper.at, ca, w.proxy.at), 0o600)).To(Succeed())
	DeferCleanup(k.Delete, cluster)
	w.Cluster = k.Create(ctx, cluster, "--config", file)
	w.ns = w.Namespace(ctx)
	return w
}

// image is the name of a new image in a registry, by which pods pull it from upstream,
// and prefix what a mirror puts before its name.
func (w *world) image(ctx context.Context, s *server, upstream, prefix string) string {
	GinkgoHelper()
	w.count++
	repo := fmt.Sprintf("team/app%d:1", w.count)
	s.push(ctx, w.base, prefix+repo, w.authority)
	return upstream + "/" + repo
}

// runs runs a new image on every node.
func (w *world) runs(ctx context.Context, image string) {
	GinkgoHelper()
	w.count++
	for i, n := range w.Nodes(ctx) {
		By(n.Name + " with " + n.Status.NodeInfo.ContainerRuntimeVersion)
		c := corev1.Container{Name: "c", Image: image, ImagePullPolicy: corev1.PullAlways}
		Expect(w.FinishPod(ctx, w.ns, harness.Pod(fmt.Sprintf("pulls-%d-%d", w.count, i), n.Name, c))).To(Equal("ran\n"))
	}
}

// all pulls new images in every way.
func (w *world) all(ctx context.Context) {
	GinkgoHelper()
	w.runs(ctx, w.image(ctx, w.mirror, "nowhere.example", ""))
	w.runs(ctx, w.image(ctx, w.private, w.private.at, ""))
	w.runs(ctx, w.image(ctx, w.inFile, w.inFile.at, ""))
}

// noCredentials is what container runtimes say where a registry wants to know who asks.
const noCredentials = `(?i)unauthorized|authentication|no basic auth`

// refused is why a node does not pull an image.
func (w *world) refused(ctx context.Context, node, image string) string {
	GinkgoHelper()
	w.count++
	c := corev1.Container{Name: "c", Image: image, ImagePullPolicy: corev1.PullAlways}
	pods := w.Client.CoreV1().Pods(w.ns)
	pod, err := pods.Create(ctx, harness.Pod(fmt.Sprintf("refused-%d", w.count), node, c), metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	why := ""
	Eventually(ctx, func(ctx context.Context) (string, error) {
		now, err := pods.Get(ctx, pod.Name, metav1.GetOptions{})
		if err != nil || len(now.Status.ContainerStatuses) == 0 || now.Status.ContainerStatuses[0].State.Waiting == nil {
			return "", err
		}
		why = now.Status.ContainerStatuses[0].State.Waiting.Message
		return now.Status.ContainerStatuses[0].State.Waiting.Reason, nil
	}).WithTimeout(2 * time.Minute).Should(BeElementOf("ErrImagePull", "ImagePullBackOff"))
	return why
}

// wordForms are the password as it may be written.
func wordForms() []string { return []string{password, basic(user, password)} }

var _ = Describe("Where nodes pull from", Ordered, ContinueOnFailure, harness.Long, func() {
	w := &world{}
	BeforeAll(func(ctx SpecContext) { w = newWorld(ctx) }, NodeTimeout(harness.CreateTimeout+30*time.Minute))

	It("asks a mirror of a registry that does not exist", func(ctx SpecContext) {
		w.runs(ctx, w.image(ctx, w.mirror, "nowhere.example", ""))
	})

	It("goes on to the next mirror, which has its images below a prefix", func(ctx SpecContext) {
		w.runs(ctx, w.image(ctx, w.mirror, "prefixed.example:5000", "hub/"))
	})

	It("trusts a private authority", func(ctx SpecContext) {
		w.runs(ctx, w.image(ctx, w.private, w.private.at, ""))
	})

	It("uses the credentials of the user's file, and of a helper", func(ctx SpecContext) {
		w.runs(ctx, w.image(ctx, w.inFile, w.inFile.at, ""))
		w.runs(ctx, w.image(ctx, w.inHelper, w.inHelper.at, ""))
	})

	It("uses no others", func(ctx SpecContext) {
		image := w.image(ctx, w.other, w.other.at, "")
		for _, n := range w.Nodes(ctx) {
			By(n.Name + " with " + n.Status.NodeInfo.ContainerRuntimeVersion)
			Expect(w.refused(ctx, n.Name, image)).To(MatchRegexp(noCredentials))
		}
	})

	It("goes through the proxy, but not to what is the cluster's own or excepted", func(ctx SpecContext) {
		var asked []string
		for _, line := range w.proxy.all() {
			what, _, _ := strings.Cut(line, from)
			asked = append(asked, what)
		}
		for _, n := range w.Nodes(ctx) {
			ip := harness.InternalIP(n)
			Expect(w.proxy.all()).To(ContainElement("CONNECT "+w.private.at+from+ip), n.Status.NodeInfo.ContainerRuntimeVersion)
			Expect(asked).NotTo(ContainElement(Or(ContainSubstring(ip), ContainSubstring(n.Name))))
		}
		Expect(asked).NotTo(ContainElement(Or(ContainSubstring(w.mirror.at), ContainSubstring("10.96."), ContainSubstring("10.244."), ContainSubstring(w.Name))))
	})

	It("shows the password in no file of a node's own file system, no journal and no bundle, and not to the engine", func(ctx SpecContext) {
		e := harness.SpecEngine(ctx)
		for _, n := range w.Nodes(ctx) {
			By(n.Name)
			inspected, raw, err := e.API.ContainerInspectWithRaw(ctx, n.Name, false)
			Expect(err).NotTo(HaveOccurred())
			_, image, err := e.API.ImageInspectWithRaw(ctx, inspected.Image) //nolint:staticcheck // the raw answer is what is looked at
			Expect(err).NotTo(HaveOccurred())
			mode := w.MustExec(ctx, n.Name, "stat", "--format", "%a %m", "/var/lib/kubelet/config.json")
			Expect(strings.TrimSpace(mode)).To(Equal("600 /var/lib/kubelet"), "a file on a volume, for root alone")
			for _, form := range wordForms() {
				Expect(string(raw)).NotTo(ContainSubstring(form))
				Expect(string(image)).NotTo(ContainSubstring(form))
				// A script that reads the word from its input, so that it is nowhere else.
				found := w.RunIn(ctx, strings.NewReader(form), "exec", "-i", n.Name, "--", "sh", "-c",
					`cat > /run/word; find / -xdev -type f -mmin -60 -exec grep -lFf /run/word {} +; journalctl --no-pager | grep -cFf /run/word; rm /run/word`)
				Expect(strings.TrimSpace(found.Stdout)).To(Equal("0"), found.String())
			}
		}
		dir := filepath.Join(GinkgoT().TempDir(), "logs")
		w.Must(ctx, "export", "logs", dir, "--cluster", w.Name)
		Expect(holding(dir)).To(BeEmpty())
		_, err := os.Stat(filepath.Join(dir, "summary.txt"))
		Expect(err).NotTo(HaveOccurred())
	})

	It("knows the same after restarts of the nodes", func(ctx SpecContext) {
		e := harness.SpecEngine(ctx)
		for _, n := range w.Nodes(ctx) {
			Expect(e.Restart(ctx, n.Name)).To(Succeed())
		}
		w.AwaitNodes(ctx, e, 3*time.Minute)
		w.all(ctx)
	})

	It("knows the same with other runtimes", func(ctx SpecContext) {
		next := map[string]string{"containerd": "cri-o", "cri-dockerd": "containerd", "cri-o": "cri-dockerd"}
		for _, n := range w.Nodes(ctx) {
			now, ok := cri.Reported(n.Status.NodeInfo.ContainerRuntimeVersion)
			Expect(ok).To(BeTrue())
			w.Must(ctx, "runtime", "swap", "--cluster", w.Name, "--to", next[now.Name], "--node", n.Name, "--force")
		}
		w.all(ctx)
	})
})

// kubeletsMemory is how long a kubelet goes by what it has read of credentials, and
// then some: it tries a pull that failed again ever less often.
const kubeletsMemory = 5*time.Minute + 3*time.Minute

var _ = Describe("A cluster that there is", harness.Long, func() {
	It("pulls with the user's credentials soon after it was given them", func(ctx SpecContext) {
		authority, cert := privateAuthority()
		r := newRegistry(cert, true)
		k, cluster := harness.New(), harness.Name("pulls")
		dir := filepath.Dir(k.Kubeconfig)
		dockerConfig(k, "known.example", r.at)
		ca := filepath.Join(dir, "ca.pem")
		Expect(os.WriteFile(ca, authority.Certificate(), 0o600)).To(Succeed())
		file := "apiVersion: kluster.dev/v1alpha1\nkind: Cluster\ncertificateAuthorities: [" + ca + "]\n"
		DeferCleanup(k.Delete, cluster)
		Expect(os.WriteFile(filepath.Join(dir, "cluster.yaml"), []byte(file), 0o600)).To(Succeed())
		w := &world{Cluster: k.Create(ctx, cluster, "--config", filepath.Join(dir, "cluster.yaml")), base: program(ctx, dir), authority: authority.Certificate()}
		w.ns = w.Namespace(ctx)
		image := w.image(ctx, r, r.at, "")
		Expect(w.refused(ctx, w.Nodes(ctx)[0].Name, image)).To(MatchRegexp(noCredentials))
		Expect(w.Must(ctx, "registry", "credentials", r.at, "--cluster", cluster).Lines()).To(Equal([]string{r.at}))
		Expect(w.Must(ctx, "registry", "credentials", "--cluster", cluster).Lines()).To(Equal([]string{r.at}), "those that it has, renewed")
		given := time.Now()
		c := corev1.Container{Name: "c", Image: image, ImagePullPolicy: corev1.PullAlways}
		pod, err := w.Client.CoreV1().Pods(w.ns).Create(ctx, harness.Pod("soon", "", c), metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		Eventually(ctx, func(ctx context.Context) (corev1.PodPhase, error) {
			now, err := w.Client.CoreV1().Pods(w.ns).Get(ctx, pod.Name, metav1.GetOptions{})
			return now.Status.Phase, err
		}).WithTimeout(kubeletsMemory).WithPolling(time.Second).Should(Equal(corev1.PodSucceeded))
		AddReportEntry("pulled after", time.Since(given).Round(time.Second).String())
	}, NodeTimeout(harness.CreateTimeout+30*time.Minute))
})

// holding names the files of a folder that show the password.
func holding(dir string) []string {
	GinkgoHelper()
	var found []string
	Expect(filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		for _, form := range wordForms() {
			if strings.Contains(string(text), form) {
				found = append(found, path)
			}
		}
		return err
	})).To(Succeed())
	return found
}

var _ = Describe("What nodes cannot pull with", harness.Short, func() {
	DescribeTable("is refused before anything is made", func(ctx SpecContext, fields, says string) {
		k, cluster := harness.New(), harness.Name("nothing")
		dir := filepath.Dir(k.Kubeconfig)
		dockerConfig(k, "known.example", "helped.example")
		Expect(os.WriteFile(filepath.Join(dir, "key.pem"), []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), 0o600)).To(Succeed())
		file := "apiVersion: kluster.dev/v1alpha1\nkind: Cluster\n" + strings.ReplaceAll(fields, "DIR", dir) + "\n"
		DeferCleanup(k.Delete, cluster)
		r := k.RunIn(ctx, strings.NewReader(file), "create", "--name", cluster, "--config", "-")
		Expect(r.Code).To(Equal(2), r.String())
		Expect(r.Stderr).To(ContainSubstring(says))
		left, err := harness.SpecEngine(ctx).Leftovers(ctx, cluster)
		Expect(err).NotTo(HaveOccurred())
		Expect(left).To(BeEmpty())
	},
		Entry("a registry without credentials", "registries: {credentials: [unknown.example]}", "credentials of unknown.example: this machine's user has none"),
		Entry("a helper that fails", "registries: {credentials: [broken.example]}", "the keychain is locked"),
		Entry("a helper that is not there", "registries: {credentials: [gone.example]}", "docker-credential-gone"),
		Entry("a key for a certificate", "certificateAuthorities: [DIR/key.pem]", "holds a PRIVATE KEY"),
		Entry("a file that is not there", "certificateAuthorities: [DIR/none.pem]", "no such file"),
		Entry("a mirror with a password", "registries: {mirrors: {docker.io: ['https://me:secret@mirror.example']}}", "the URL holds credentials"),
	)
})
