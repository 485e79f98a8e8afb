package cluster_test

import (
	"bufio"
	"context"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

// What a pod prints, and a Secret holds, that nobody may see.
const (
	plantedToken = "abcdef.0123456789planted"
	plantedKey   = "MIIEowIBAAKCAQEAplantedplantedplantedplantedplantedplantedplanted"
	plantedProxy = "hunter2planted"
)

// restarted is a pod on the first node whose container is started again when it ends.
func restarted(name string, container corev1.Container) *corev1.Pod {
	pod := harness.Pod(name, controlPlane(1), container)
	pod.Spec.RestartPolicy = corev1.RestartPolicyAlways
	return pod
}

// lastEnd is how a pod's only container ended last; its zero value means not yet.
func lastEnd(ns, pod string) func(context.Context) (corev1.ContainerStateTerminated, error) {
	return func(ctx context.Context) (corev1.ContainerStateTerminated, error) {
		p, err := c.Client.CoreV1().Pods(ns).Get(ctx, pod, metav1.GetOptions{})
		if err != nil || len(p.Status.ContainerStatuses) == 0 || p.Status.ContainerStatuses[0].LastTerminationState.Terminated == nil {
			return corev1.ContainerStateTerminated{}, err
		}
		return *p.Status.ContainerStatuses[0].LastTerminationState.Terminated, nil
	}
}

// plant makes a pod that crashes and prints secrets, one that takes too much memory,
// and a Secret.
func plant(ctx context.Context, ns, busybox string) {
	GinkgoHelper()
	hog := harness.Command(busybox, "tail", "/dev/zero")
	hog.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("20Mi")}
	text := "token=" + plantedToken + "\n-----BEGIN RSA PRIVATE KEY-----\n" + plantedKey + "\n-----END RSA PRIVATE KEY-----\n" +
		"http://me:" + plantedProxy + "@proxy:3128/\nthe last words"
	crash := harness.Command(busybox, "sh", "-c", `echo "$TEXT"; exit 7`)
	crash.Env = []corev1.EnvVar{{Name: "TEXT", Value: text}}
	for _, pod := range []*corev1.Pod{restarted("crash", crash), restarted("hog", hog)} {
		_, err := c.Client.CoreV1().Pods(ns).Create(ctx, pod, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}, StringData: map[string]string{"k": plantedKey}}
	_, err := c.Client.CoreV1().Secrets(ns).Create(ctx, secret, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
}

// exported is the part of the summary that specs look at.
type exported struct {
	Dir      string
	Complete bool
	Missing  []string
	Causes   []struct {
		Kind, Node, Object, Text, Line, File string
		ExitCode                             *int
	}
}

// seen are the files of a folder that hold one of these texts.
func seen(dir string, texts ...string) ([]string, error) {
	var found []string
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		for _, text := range texts {
			if strings.Contains(string(data), text) {
				found = append(found, name)
			}
		}
		return err
	})
	return found, err
}

var _ = Describe("kluster export logs", Serial, harness.Short, func() {
	It("names what is wrong, and shows no secrets", func(ctx SpecContext) {
		ns, stopped := c.Namespace(ctx), controlPlane(nodes)
		plant(ctx, ns, c.Image(ctx, "busybox"))
		Eventually(ctx, lastEnd(ns, "crash")).WithTimeout(harness.PodTimeout).Should(HaveField("ExitCode", Equal(int32(7))))
		Eventually(ctx, lastEnd(ns, "hog")).WithTimeout(harness.PodTimeout).Should(HaveField("Reason", "OOMKilled"))
		// A pod that has crashed twice crashes again and again.
		Eventually(ctx, func(ctx context.Context) (int32, error) {
			p, err := c.Client.CoreV1().Pods(ns).Get(ctx, "crash", metav1.GetOptions{})
			return p.Status.ContainerStatuses[0].RestartCount, err
		}).WithTimeout(harness.PodTimeout).Should(BeNumerically(">=", 2))
		DeferCleanup(func(ctx SpecContext) {
			// A kubelet that starts says once that it is not Ready, and the node is
			// tainted for a moment, which the specs after this one would see.
			again := time.Now()
			c.MustExec(ctx, stopped, "systemctl", "start", "kubelet")
			c.AwaitNode(ctx, stopped, again, 2*time.Minute)
		})
		c.MustExec(ctx, stopped, "systemctl", "stop", "kubelet")

		dir := filepath.Join(GinkgoT().TempDir(), "bundle")
		var s exported
		r := c.Must(ctx, "export", "logs", dir, "--cluster", c.Name, "-o", "json")
		AddReportEntry("kluster export logs", r.Took.Round(100*time.Millisecond).String())
		r.Decode(&s)
		Expect(s.Complete).To(BeTrue())
		Expect(s.Causes).To(ContainElements(
			And(HaveField("Kind", "unit"), HaveField("Node", stopped), HaveField("Object", "kubelet.service")),
			And(HaveField("Kind", "oom"), HaveField("Object", HavePrefix(ns+"/hog/")), HaveField("ExitCode", HaveValue(Equal(137)))),
			And(HaveField("Kind", "crash-loop"), HaveField("Object", HavePrefix(ns+"/crash/")), HaveField("ExitCode", HaveValue(Equal(7))),
				HaveField("Line", "the last words"), HaveField("File", HavePrefix("nodes/"+controlPlane(1)+"/pods/"))),
		), r.Stdout)
		Expect(s.Missing).To(BeEmpty())
		Expect(seen(dir, "the last words")).NotTo(BeEmpty(), "the log of the pod")
		Expect(seen(dir, plantedToken, plantedKey, plantedProxy, "PRIVATE KEY-----")).To(BeEmpty())
		for _, name := range []string{"index.html", "summary.txt", "summary.json", "nodes/" + stopped + "/kubelet.log", "nodes/" + c.Name + "-lb/console.log"} {
			Expect(filepath.Join(dir, name)).To(BeARegularFile())
		}
		Expect(c.Run(ctx, "export", "logs", dir, "--cluster", c.Name)).To(HaveField("Code", 2), "a folder that is not empty")
	})
})

var _ = Describe("kluster logs", harness.Short, func() {
	It("prints what the kubelet and the runtime said, and goes on with it until it is interrupted", func(ctx SpecContext) {
		said := c.Must(ctx, "logs", "--cluster", c.Name, "control-plane-1").Stdout
		Expect(said).To(And(ContainSubstring(" kubelet["), ContainSubstring(" containerd[")))
		follow := exec.CommandContext(ctx, c.Bin, "logs", "--cluster", c.Name, "control-plane-1", "-f", "--unit", "kubelet")
		out, err := follow.StdoutPipe()
		Expect(err).NotTo(HaveOccurred())
		Expect(follow.Start()).To(Succeed())
		Expect(bufio.NewReader(out).ReadString('\n')).To(ContainSubstring(controlPlane(1)))
		Expect(follow.Process.Signal(os.Interrupt)).To(Succeed())
		_, _ = io.Copy(io.Discard, out)
		Expect(follow.Wait()).To(MatchError(ContainSubstring("exit status 130")))
		Expect(c.MustExec(ctx, controlPlane(1), "ps", "-eo", "args")).NotTo(ContainSubstring("journalctl --no-pager"), "it is no longer there")
	})

	It("prints what the load balancer printed", func(ctx SpecContext) {
		Expect(c.Must(ctx, "logs", "--cluster", c.Name, "lb").Code).To(Equal(0))
	})
})
