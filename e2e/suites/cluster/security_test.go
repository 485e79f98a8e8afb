package cluster_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	dockerimage "github.com/docker/docker/api/types/image"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
	"github.com/kluster-project/kluster/internal/nodespec"
)

// planted is a secret that the search must find wherever it is put.
const planted = "planted-5ecret-0123456789"

// plantShapes lets a container print what is known by its look alone.
func plantShapes(ctx SpecContext, e *harness.Engine, node string) {
	GinkgoHelper()
	like, err := e.API.ContainerInspect(ctx, node)
	Expect(err).NotTo(HaveOccurred())
	var text []string
	for _, p := range harness.Planted {
		text = append(text, p.Text)
	}
	made, err := e.API.ContainerCreate(ctx, &container.Config{
		Image: like.Image, Entrypoint: []string{"echo", strings.Join(text, "\n")}, Labels: map[string]string{nodespec.LabelCluster: c.Name},
	}, nil, nil, nil, c.Name+"-shapes")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(e.Remove, made.ID)
	Expect(e.Start(ctx, made.ID)).To(Succeed())
	Eventually(ctx, e.Output).WithArguments(made.ID).WithTimeout(10 * time.Second).ShouldNot(BeEmpty())
}

// plantSecret puts it where secrets could get to by mistake: into labels, variables
// and arguments of a machine, into arguments, variables and the journal of a node's
// processes, and into what a node prints.
func plantSecret(ctx SpecContext, e *harness.Engine, node string) {
	GinkgoHelper()
	like, err := e.API.ContainerInspect(ctx, node)
	Expect(err).NotTo(HaveOccurred())
	made, err := e.API.ContainerCreate(ctx, &container.Config{
		Image: like.Image, Env: []string{"TOKEN=" + planted}, Entrypoint: []string{"echo", planted},
		Labels: map[string]string{nodespec.LabelCluster: c.Name, "token": planted},
	}, nil, nil, nil, c.Name+"-planted")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(e.Remove, made.ID)
	Expect(e.Start(ctx, made.ID)).To(Succeed())
	Eventually(ctx, e.Output).WithArguments(made.ID).WithTimeout(10 * time.Second).Should(ContainSubstring(planted))
	DeferCleanup(func(ctx SpecContext) { c.MustExec(ctx, node, "systemctl", "stop", "planted") })
	c.MustExec(ctx, node, "systemd-run", "--quiet", "--unit=planted", "--setenv=TOKEN="+planted, "sh", "-c", "echo "+planted+"; sleep 600")
	Eventually(ctx, func(ctx context.Context) string { return c.MustExec(ctx, node, "journalctl", "--unit=planted") }).
		WithTimeout(10 * time.Second).Should(ContainSubstring(planted))
}

var _ = Describe("Keys and tokens of a cluster", Serial, harness.Short, func() {
	It("are seen by nobody who looks from outside, in its processes, its logs or its images", func(ctx SpecContext) {
		e := engine(ctx)
		secrets := c.Secrets(ctx, e)
		AddReportEntry("secrets that were looked for", fmt.Sprint(len(secrets)))
		Expect(len(secrets)).To(BeNumerically(">=", 15*nodes), "%v", secrets)
		plantSecret(ctx, e, controlPlane(1))
		plantShapes(ctx, e, controlPlane(1))
		places := c.Places(ctx, e, filepath.Join(GinkgoT().TempDir(), "bundle"))
		AddReportEntry("places", fmt.Sprint(len(places)))

		seen := slices.DeleteFunc(harness.Seen(secrets, places), func(s string) bool {
			return strings.HasSuffix(s, "of "+c.Name+"-shapes") || strings.HasSuffix(s, "on "+c.Name+"-shapes")
		})
		Expect(seen).To(BeEmpty())
		for _, p := range harness.Planted {
			Expect(harness.Seen(secrets, places)).To(ContainElement(p.Name + " in output of " + c.Name + "-shapes"))
		}
		found := harness.Seen([]harness.Secret{{Name: "planted", Forms: []string{planted}}}, places)
		for _, place := range []string{
			"engine on " + c.Name + "-planted", "output of " + c.Name + "-planted", "arguments of " + controlPlane(1),
			"environments of " + controlPlane(1), "journal of " + controlPlane(1),
		} {
			Expect(found).To(ContainElement("planted in " + place))
		}
	})

	It("are in no layer of the node image, one by one", func(ctx SpecContext) {
		e := engine(ctx)
		like, err := e.API.ContainerInspect(ctx, controlPlane(1))
		Expect(err).NotTo(HaveOccurred())
		// A key that the next layer deletes again must be found.
		image := layered(ctx, e, like.Image, `echo '-----BEGIN EC PRIVATE KEY-----' > /opt/planted`)
		image = layered(ctx, e, image, "rm /opt/planted")
		found, err := e.LayerKeys(ctx, image)
		Expect(err).NotTo(HaveOccurred())
		Expect(found).To(ContainElement("/opt/planted"))
		// A key of Kubernetes' own sources that the image of its tests serves with: no secret.
		Expect(found).To(HaveEach(Or(Equal("/opt/planted"), MatchRegexp(`^/opt/kluster/store/.*/localhost\.key$`))))
	})
})

// layered is an image with one more layer: what a script changes. It goes with the spec.
func layered(ctx SpecContext, e *harness.Engine, image, script string) string {
	GinkgoHelper()
	made, err := e.API.ContainerCreate(ctx, &container.Config{
		Image: image, Entrypoint: []string{"sh", "-c", script}, Labels: map[string]string{nodespec.LabelCluster: c.Name},
	}, &container.HostConfig{NetworkMode: "none"}, nil, nil, "")
	Expect(err).NotTo(HaveOccurred())
	defer func() { Expect(e.Remove(ctx, made.ID)).To(Succeed()) }()
	ended, failed := e.API.ContainerWait(ctx, made.ID, container.WaitConditionNextExit)
	Expect(e.Start(ctx, made.ID)).To(Succeed())
	select {
	case err := <-failed:
		Expect(err).NotTo(HaveOccurred())
	case end := <-ended:
		Expect(end.StatusCode).To(BeZero())
	}
	committed, err := e.API.ContainerCommit(ctx, made.ID, container.CommitOptions{})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func(ctx SpecContext) {
		_, err := e.API.ImageRemove(ctx, committed.ID, dockerimage.RemoveOptions{})
		Expect(err).To(Or(Not(HaveOccurred()), Satisfy(cerrdefs.IsNotFound)))
	})
	return committed.ID
}

var _ = Describe("A cluster", harness.Short, func() {
	It("listens on the loopback address alone", func(ctx SpecContext) {
		list, err := engine(ctx).Containers(ctx, c.Name)
		Expect(err).NotTo(HaveOccurred())
		published := 0
		for _, found := range list {
			for port, at := range found.Ports {
				published++
				Expect(netip.MustParseAddrPort(at).Addr().IsLoopback()).To(BeTrue(), "%s of %s is published on %s", port, found.Name, at)
			}
		}
		Expect(published).To(BeNumerically(">=", 1), "the API's port")
	})

	It("has a load balancer that may do nothing but serve the API", func(ctx SpecContext) {
		e, lb := engine(ctx), c.Name+"-lb"
		r, err := e.Exec(ctx, lb, "sh", "-c", "cat /proc/1/status; awk '$4 == \"0A\" {print \"port\", $2}' /proc/net/tcp /proc/net/tcp6; find / -type s -not -path '/proc/*' -printf 'socket %m %U %p\\n'")
		Expect(err).NotTo(HaveOccurred())
		Expect(r.Stdout).To(MatchRegexp(`(?m)^CapBnd:\s+0000000000000000$`))
		Expect(r.Stdout).To(MatchRegexp(`(?m)^NoNewPrivs:\s+1$`))
		Expect(r.Stdout).To(MatchRegexp(`(?m)^Uid:\s+65534\s`))
		var ports []string
		for line := range strings.Lines(r.Stdout) {
			// The engine's own resolver listens on 127.0.0.11.
			if at, ok := strings.CutPrefix(strings.TrimSpace(line), "port "); ok && !strings.HasPrefix(at, "0B00007F:") {
				ports = append(ports, at)
			}
		}
		Expect(ports).To(ConsistOf(HaveSuffix(fmt.Sprintf(":%04X", nodespec.APIPort))), "no statistics, no administration")
		Expect(r.Stdout).NotTo(MatchRegexp(`(?m)^socket (?:[^6]..|.[^0].|..[^0]|600 (?:[^6]|6[^5]))`), "and sockets for itself alone")
	})

	It("has nodes without the capabilities that reach the host alone", func(ctx SpecContext) {
		var bounding uint64
		_, err := fmt.Sscanf(c.MustExec(ctx, controlPlane(1), "sh", "-c", "grep CapBnd /proc/1/status"), "CapBnd: %x", &bounding)
		Expect(err).NotTo(HaveOccurred())
		for name, number := range map[string]int{"SYS_RAWIO": 17, "SYS_BOOT": 22, "SYS_TIME": 25, "AUDIT_CONTROL": 30, "MAC_ADMIN": 33} {
			Expect(bounding&(1<<number)).To(BeZero(), name)
		}
		Expect(bounding&(1<<21)).NotTo(BeZero(), "SYS_ADMIN")
	})

	It("shows no profiles", func(ctx SpecContext) {
		for _, path := range []string{"/debug/pprof/", "/api/v1/nodes/" + controlPlane(1) + "/proxy/debug/pprof/"} {
			_, err := c.Client.CoreV1().RESTClient().Get().AbsPath(path).DoRaw(ctx)
			Expect(err).To(Or(Satisfy(apierrors.IsNotFound), Satisfy(apierrors.IsMethodNotSupported)), path)
		}
	})

	It("keeps an audit log of who did what, and not of what was in it", func(ctx SpecContext) {
		ns := c.Namespace(ctx)
		_, err := c.Client.CoreV1().Secrets(ns).Create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: "audited"}, StringData: map[string]string{"k": planted},
		}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		var text string
		Eventually(ctx, func(ctx context.Context) string {
			text = ""
			for i := range nodes {
				text += c.MustExec(ctx, controlPlane(i+1), "sh", "-c", "cat /var/log/kubernetes/audit.log")
			}
			return text
		}).WithTimeout(time.Minute).Should(ContainSubstring(`"/api/v1/namespaces/` + ns + `/secrets`))
		Expect(text).NotTo(ContainSubstring(planted))
		Expect(text).NotTo(ContainSubstring(`"requestURI":"/readyz`))
		var event struct {
			Level, Verb string
			User        struct{ Username string }
		}
		for line := range strings.Lines(text) {
			if strings.Contains(line, `"/api/v1/namespaces/`+ns+`/secrets`) {
				Expect(json.Unmarshal([]byte(line), &event)).To(Succeed())
				break
			}
		}
		Expect(event.Level).To(Equal("Metadata"))
		Expect(event.Verb).To(Equal("create"))
		Expect(event.User.Username).To(Equal("kubernetes-admin"))
		Expect(c.MustExec(ctx, controlPlane(1), "stat", "-c", "%a %U", "/var/log/kubernetes/audit.log")).To(Equal("600 root\n"))
	})
})

var _ = Describe("kluster get kubeconfig --user", harness.Short, func() {
	It("makes a user who may do what roles grant, and no more", func(ctx SpecContext) {
		ns, file := c.Namespace(ctx), filepath.Join(GinkgoT().TempDir(), "dev.conf")
		c.Must(ctx, "get", "kubeconfig", "--cluster", c.Name, "--user", "dev", "--group", "readers", "--group", "testers", "--expires", "1h", "--out", file)
		info, err := os.Stat(file)
		Expect(err).NotTo(HaveOccurred())
		Expect(info.Mode().Perm()).To(Equal(os.FileMode(0o600)))
		config, err := harness.RESTConfig(file, "dev@kluster-"+c.Name)
		Expect(err).NotTo(HaveOccurred())
		dev, err := kubernetes.NewForConfig(config)
		Expect(err).NotTo(HaveOccurred())

		who, err := dev.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(who.Status.UserInfo.Username).To(Equal("dev"))
		Expect(who.Status.UserInfo.Groups).To(ConsistOf("readers", "testers", "system:authenticated"))

		list := func(ctx context.Context, ns string) error {
			_, err := dev.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{})
			return err
		}
		Expect(list(ctx, ns)).To(Satisfy(apierrors.IsForbidden))
		_, err = c.Client.RbacV1().RoleBindings(ns).Create(ctx, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "readers"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "Group", Name: "readers"}},
		}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		Eventually(ctx, list).WithArguments(ns).WithTimeout(10 * time.Second).Should(Succeed())
		Expect(list(ctx, "kube-system")).To(Satisfy(apierrors.IsForbidden))
		_, err = dev.CoreV1().Secrets(ns).List(ctx, metav1.ListOptions{})
		Expect(err).To(Satisfy(apierrors.IsForbidden), "view shows no Secrets")

		left, err := c.Client.CertificatesV1().CertificateSigningRequests().List(ctx, metav1.ListOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(left.Items).NotTo(ContainElement(HaveField("Name", HavePrefix("kluster-user-"))))
	})

	It("refuses a user who may do everything", func(ctx SpecContext) {
		r := c.Run(ctx, "get", "kubeconfig", "--cluster", c.Name, "--user", "dev", "--group", "system:masters")
		Expect(r.Code).To(Equal(2), r.String())
		Expect(r.Stdout).To(BeEmpty())
	})
})
