package runtimes_test

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
	"github.com/kluster-project/kluster/internal/cri"
)

var _ = func() bool {
	for _, tc := range cases {
		Describe("A cluster on "+tc.name, Ordered, ContinueOnFailure, harness.Long, func() {
			m := &made{}
			BeforeAll(func(ctx SpecContext) { *m = *create(ctx, tc.file, tc.args...) }, createLimit)
			It("has nodes with that runtime", func(ctx SpecContext) { m.reports(ctx, tc.runtimes) })
			for _, spec := range specs {
				It(spec.about, func(ctx SpecContext) { spec.run(ctx, m) })
			}
		})
	}
	return true
}()

// specs are what every cluster must be able to do.
var specs = []struct {
	about string
	run   func(SpecContext, *made)
}{
	{"runs a Deployment behind a Service with a name", deploys},
	{"keeps a claim's data", keepsData},
	{"runs commands in a pod, with stdin and an exit code", execs},
	{"attaches to a pod", attaches},
	{"follows a pod's log", follows},
	{"forwards a port to a pod", forwards},
	{"copies files into a pod and out of it", copies},
	{"restarts what is not alive, and sends nothing to what is not ready", probes},
	{"opens a port on a pod's node", hostPort},
	{"runs init containers one after the other", initContainers},
	{"runs a Job to its end", job},
	{"ends what takes too much memory", limitsMemory},
	{"slows down what takes too much CPU", limitsCPU},
	{"loads an archive of images into every node", loads},
	{"takes back a load that is interrupted, or has all of it", interruptsLoads},
	{"takes several loads at once into the same nodes", loadsAtOnce},
	{"refuses images of another platform, and damaged ones", refusesLoads},
	{"lets pods pick their OCI runtime, where the container runtime can", classes},
	{"has figures of its nodes and pods", measures},
	{"gives a Deployment under load more pods", autoscales},
	{"refuses a swap that cannot go well, and changes nothing", refusesSwaps},
	{"is the same after its nodes were killed", survives},
}

// reports looks whether "kubectl get nodes -o wide" shows the truth.
func (m *made) reports(ctx context.Context, want []string) {
	GinkgoHelper()
	var got []string
	for _, n := range m.Nodes(ctx) {
		got = append(got, on(n).Name)
		Expect(m.MustExec(ctx, n.Name, "systemctl", "is-active", on(n).Unit())).To(Equal("active\n"))
	}
	Expect(got).To(ConsistOf(want))
	Expect(m.NotReady(ctx)).To(BeEmpty())
}

func deploys(ctx SpecContext, m *made) {
	nodes := len(m.Nodes(ctx))
	m.Deploy(ctx, m.ns, harness.Deployment("web", int32(nodes), harness.Web(m.agnhost)))
	_, err := m.Client.CoreV1().Services(m.ns).Create(ctx, harness.Service("web", "web", corev1.ServiceTypeClusterIP), metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	clients := m.DeployEverywhere(ctx, m.ns, harness.DaemonSet("client", harness.Idle(m.busybox)))
	for node, client := range clients {
		heard := map[string]bool{}
		Eventually(ctx, func(ctx context.Context) map[string]bool {
			if r := m.PodExec(ctx, m.ns, client.Name, "wget", "-q", "-T", "5", "-O", "-", "http://web."+m.ns+"/hostname"); r.Code == 0 {
				heard[r.Stdout] = true
			}
			return heard
		}).WithTimeout(reach).Should(HaveLen(nodes), "from %s", node)
	}
}

func execs(ctx SpecContext, m *made) {
	m.eachNode(ctx, func(n corev1.Node) {
		m.RunPod(ctx, m.ns, harness.Pod("shell-"+n.Name, n.Name, harness.Idle(m.busybox)))
		// An apiserver whose certificates have been renewed drops its connections
		// to kubelets once.
		Eventually(ctx, func(ctx context.Context) harness.Result {
			return m.kubectl(ctx, "over there", "exec", "-i", "shell-"+n.Name, "--", "sh", "-c", "cat; echo aside >&2; exit 7")
		}).WithTimeout(reach).Should(And(
			HaveField("Stdout", "over there"), HaveField("Stderr", ContainSubstring("aside")), HaveField("Code", 7)))
	})
}

func attaches(ctx SpecContext, m *made) {
	m.eachNode(ctx, func(n corev1.Node) {
		name := "attach-" + n.Name
		c := harness.Command(m.busybox, "sh", "-c", "read line; echo heard $line; sleep 3600")
		c.Stdin, c.StdinOnce = true, true
		m.RunPod(ctx, m.ns, harness.Pod(name, n.Name, c))
		bounded, stop := context.WithTimeout(ctx, 15*time.Second)
		defer stop()
		// attach ends with the pod; what it has shown until then counts.
		go func() {
			defer GinkgoRecover()
			Eventually(ctx, func(ctx context.Context) string { return m.kubectl(ctx, "", "logs", name).Stdout }).
				WithTimeout(10 * time.Second).Should(Equal("heard me\n"))
			m.kubectl(ctx, "", "delete", "pod", name, "--grace-period=1", "--wait=false")
		}()
		Expect(m.kubectl(bounded, "me\n", "attach", "-i", name).Stdout).To(ContainSubstring("heard me"))
	})
}

func follows(ctx SpecContext, m *made) {
	m.eachNode(ctx, func(n corev1.Node) {
		name := "talker-" + n.Name
		const lines = 5
		m.RunPod(ctx, m.ns, harness.Pod(name, n.Name, harness.Command(m.busybox, "sh", "-c",
			fmt.Sprintf("for i in $(seq %d); do echo line $i; sleep 1; done", lines))))
		r := m.kubectl(ctx, "", "logs", "-f", name)
		Expect(r.Code).To(Equal(0), r.String())
		Expect(r.Lines()).To(HaveLen(lines))
		Expect(r.Took).To(BeNumerically(">", 2*time.Second), "the log was not followed to its end")
	})
}

func forwards(ctx SpecContext, m *made) {
	m.eachNode(ctx, func(n corev1.Node) {
		name := "forward-" + n.Name
		m.RunPod(ctx, m.ns, harness.Pod(name, n.Name, harness.Web(m.agnhost)))
		forwarding, stop := context.WithCancel(ctx)
		defer stop()
		var port int
		Eventually(ctx, func() (err error) {
			port, err = m.PortForward(forwarding, m.ns, name, harness.WebPort)
			return err
		}).WithTimeout(reach).Should(Succeed())
		Expect(harness.Get(ctx, fmt.Sprintf("http://127.0.0.1:%d/hostname", port))).To(Equal(name))
	})
}

func loads(ctx SpecContext, m *made) {
	const ref = "kluster.test/it-hello:v1"
	archive, err := harness.ProgramImage(ctx, GinkgoT().TempDir(), ref, "package main\n\nfunc main() { print(\"hello\") }\n")
	Expect(err).NotTo(HaveOccurred())
	m.Must(ctx, "load", "--cluster", m.Name, "--archive", archive, "--verify")
	m.eachNode(ctx, func(n corev1.Node) {
		Expect(m.FinishPod(ctx, m.ns, harness.Pod("hello-"+n.Name, n.Name, harness.Command(ref)))).To(Equal("hello"))
	})
}

// survives comes last: it kills all nodes at once.
func survives(ctx SpecContext, m *made) {
	e := harness.SpecEngine(ctx)
	nodes := m.Nodes(ctx)
	m.Deploy(ctx, m.ns, harness.Deployment("survivor", int32(len(nodes)), harness.Web(m.agnhost)))
	for _, n := range nodes {
		Expect(e.Kill(ctx, n.Name)).To(Succeed())
	}
	for _, n := range nodes {
		Expect(e.Start(ctx, n.Name)).To(Succeed())
	}
	m.AwaitNodes(ctx, e, 3*time.Minute)
	Eventually(ctx, func(ctx context.Context) []string {
		var answers []string
		for _, p := range m.Pods(ctx, m.ns, "survivor") {
			r := m.PodExec(ctx, m.ns, p.Name, "/agnhost", "--help")
			if r.Code == 0 && harness.PodReady(&p) {
				answers = append(answers, p.Spec.NodeName)
			}
		}
		return answers
	}).WithTimeout(3*time.Minute).Should(HaveLen(len(nodes)), "a pod that can be exec'ed in on every node")
}

func classes(ctx SpecContext, m *made) {
	for _, oci := range cri.OCINames() {
		for _, n := range m.Nodes(ctx) {
			label := n.Labels["oci.kluster.dev/"+oci]
			Expect(label == "true").To(Equal(on(n).Classes), "%s: label for %s is %q", n.Name, oci, label)
			if !on(n).Classes {
				continue
			}
			By(oci + " on " + n.Name)
			pod := harness.Pod("class-"+oci+"-"+n.Name, n.Name, harness.Idle(m.busybox))
			pod.Spec.RuntimeClassName = &oci
			m.RunPod(ctx, m.ns, pod)
			Expect(m.runBy(ctx, n.Name)).To(HaveKeyWithValue(m.ns+"/"+pod.Name+"/c", []string{oci}))
		}
	}
}
