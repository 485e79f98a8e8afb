package runtimes_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

func keepsData(ctx SpecContext, m *made) {
	m.eachNode(ctx, func(n corev1.Node) {
		claim := "data-" + n.Name
		_, err := m.Client.CoreV1().PersistentVolumeClaims(m.ns).Create(ctx, harness.Claim(claim), metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		user := func(name, script string) *corev1.Pod {
			return harness.ClaimPod(name+"-"+n.Name, n.Name, claim, harness.Command(m.busybox, "sh", "-c", script))
		}
		m.FinishPod(ctx, m.ns, user("writer", "echo kept >/data/file"))
		Expect(m.FinishPod(ctx, m.ns, user("reader", "cat /data/file"))).To(Equal("kept\n"))
	})
}

func copies(ctx SpecContext, m *made) {
	dir := GinkgoT().TempDir()
	there, back := filepath.Join(dir, "there"), filepath.Join(dir, "back")
	text := strings.Repeat("0123456789abcdef", 1<<16)
	Expect(os.WriteFile(there, []byte(text), 0o600)).To(Succeed())
	m.eachNode(ctx, func(n corev1.Node) {
		name := "copy-" + n.Name
		m.RunPod(ctx, m.ns, harness.Pod(name, n.Name, harness.Idle(m.busybox)))
		for _, args := range [][]string{{"cp", there, name + ":/tmp/file"}, {"cp", name + ":/tmp/file", back}} {
			r := m.kubectl(ctx, "", args...)
			Expect(r.Code).To(Equal(0), r.String())
		}
		got, err := os.ReadFile(back)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(got) == text).To(BeTrue(), "%d bytes came back", len(got))
	})
}

// probe runs a command every second.
func probe(cmd ...string) *corev1.Probe {
	return &corev1.Probe{PeriodSeconds: 1, FailureThreshold: 2, ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: cmd}}}
}

func probes(ctx SpecContext, m *made) {
	m.eachNode(ctx, func(n corev1.Node) {
		name := "probed-" + n.Name
		c := harness.Command(m.busybox, "sh", "-c", "touch /tmp/alive; exec httpd -f -p 8080")
		c.LivenessProbe = probe("test", "-e", "/tmp/alive")
		c.ReadinessProbe = probe("test", "-e", "/tmp/ready")
		c.StartupProbe = &corev1.Probe{PeriodSeconds: 1, FailureThreshold: 30, ProbeHandler: corev1.ProbeHandler{
			TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(8080)},
		}}
		pod := harness.Pod(name, n.Name, c)
		pod.Spec.RestartPolicy = corev1.RestartPolicyAlways
		_, err := m.Client.CoreV1().Pods(m.ns).Create(ctx, pod, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		state := func(ctx context.Context) (corev1.ContainerStatus, error) {
			p, err := m.Client.CoreV1().Pods(m.ns).Get(ctx, name, metav1.GetOptions{})
			if err != nil || len(p.Status.ContainerStatuses) == 0 {
				return corev1.ContainerStatus{}, err
			}
			return p.Status.ContainerStatuses[0], nil
		}
		Eventually(ctx, state).WithTimeout(harness.PodTimeout).Should(HaveField("State.Running", Not(BeNil())))
		Consistently(ctx, state).WithTimeout(3 * time.Second).Should(HaveField("Ready", false))
		Expect(m.PodExec(ctx, m.ns, name, "touch", "/tmp/ready").Code).To(Equal(0))
		Eventually(ctx, state).WithTimeout(reach).Should(HaveField("Ready", true))
		Expect(m.PodExec(ctx, m.ns, name, "rm", "/tmp/alive").Code).To(Equal(0))
		Eventually(ctx, state).WithTimeout(reach).Should(HaveField("RestartCount", int32(1)))
	})
}

func hostPort(ctx SpecContext, m *made) {
	const port = 18080
	m.eachNode(ctx, func(n corev1.Node) {
		web := harness.Web(m.agnhost)
		web.Ports = []corev1.ContainerPort{{ContainerPort: harness.WebPort, HostPort: port}}
		pod := m.RunPod(ctx, m.ns, harness.Pod("host-port-"+n.Name, n.Name, web))
		url := fmt.Sprintf("http://%s:%d/hostname", pod.Status.HostIP, port)
		for _, from := range m.Nodes(ctx) {
			Eventually(ctx, func(ctx context.Context) harness.Result {
				return m.Exec(ctx, from.Name, "curl", "--silent", "--fail", "--noproxy", "*", "--max-time", "5", url)
			}).WithTimeout(reach).Should(HaveField("Stdout", pod.Name), "from %s", from.Name)
		}
	})
}

func initContainers(ctx SpecContext, m *made) {
	m.eachNode(ctx, func(n corev1.Node) {
		say := func(name, script string) corev1.Container {
			c := harness.Command(m.busybox, "sh", "-c", script)
			c.Name, c.VolumeMounts = name, []corev1.VolumeMount{{Name: "shared", MountPath: "/shared"}}
			return c
		}
		pod := harness.Pod("init-"+n.Name, n.Name, say("c", "cat /shared/file"))
		pod.Spec.InitContainers = []corev1.Container{
			say("first", "sleep 1; echo first >>/shared/file"), say("second", "echo second >>/shared/file"),
		}
		pod.Spec.Volumes = []corev1.Volume{{Name: "shared", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
		Expect(m.FinishPod(ctx, m.ns, pod)).To(Equal("first\nsecond\n"))
	})
}

func job(ctx SpecContext, m *made) {
	m.FinishJob(ctx, m.ns, 4, 2, harness.Command(m.busybox, "true"))
}

func limited(c corev1.Container, name corev1.ResourceName, amount string) corev1.Container {
	list := corev1.ResourceList{name: resource.MustParse(amount)}
	c.Resources = corev1.ResourceRequirements{Limits: list, Requests: list}
	return c
}

func limitsMemory(ctx SpecContext, m *made) {
	m.eachNode(ctx, func(n corev1.Node) {
		// tail keeps a line without an end in memory.
		hungry := limited(harness.Command(m.busybox, "tail", "/dev/zero"), corev1.ResourceMemory, "32Mi")
		pod := harness.Pod("hungry-"+n.Name, n.Name, hungry)
		_, err := m.Client.CoreV1().Pods(m.ns).Create(ctx, pod, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		Eventually(ctx, func(ctx context.Context) (*corev1.ContainerStateTerminated, error) {
			p, err := m.Client.CoreV1().Pods(m.ns).Get(ctx, pod.Name, metav1.GetOptions{})
			if err != nil || len(p.Status.ContainerStatuses) == 0 {
				return nil, err
			}
			return p.Status.ContainerStatuses[0].State.Terminated, nil
		}).WithTimeout(harness.PodTimeout).Should(And(Not(BeNil()), HaveField("Reason", "OOMKilled")))
	})
}

// spent is the time that a shell's children were on a CPU, in the words of "times".
var spent = regexp.MustCompile(`(?m)^0m([0-9.]+)s 0m([0-9.]+)s$`)

func limitsCPU(ctx SpecContext, m *made) {
	m.eachNode(ctx, func(n corev1.Node) {
		const seconds, share = 4, 0.25
		busy := limited(harness.Command(m.busybox, "ash", "-c",
			fmt.Sprintf("timeout %d ash -c 'while :; do :; done'; times", seconds)), corev1.ResourceCPU, "250m")
		logs := m.FinishPod(ctx, m.ns, harness.Pod("busy-"+n.Name, n.Name, busy))
		found := spent.FindAllStringSubmatch(logs, -1)
		Expect(found).To(HaveLen(2), logs)
		user, err := strconv.ParseFloat(found[1][1], 64)
		Expect(err).NotTo(HaveOccurred())
		system, err := strconv.ParseFloat(found[1][2], 64)
		Expect(err).NotTo(HaveOccurred())
		Expect(user+system).To(BeNumerically("<", 2*share*seconds), "CPU seconds within %d", seconds)
	})
}
