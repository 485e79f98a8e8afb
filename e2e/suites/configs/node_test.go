package configs_test

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

// excludeLabel keeps a node out of load balancers.
const excludeLabel = "node.kubernetes.io/exclude-from-external-load-balancers"

// controlPlaneTaint is a control plane's that takes no pods.
const controlPlaneTaint = "node-role.kubernetes.io/control-plane:NoSchedule"

func (c *made) object(ctx context.Context, short string) *corev1.Node {
	GinkgoHelper()
	n, err := c.Client.CoreV1().Nodes().Get(ctx, c.node(short), metav1.GetOptions{})
	Expect(err).NotTo(HaveOccurred())
	return n
}

// waitsForNetwork checks that no node is Ready, for want of a pod network.
func waitsForNetwork(ctx SpecContext, c *made) {
	GinkgoHelper()
	for _, n := range c.Nodes(ctx) {
		Eventually(ctx, func(ctx context.Context) (corev1.NodeCondition, error) {
			now, err := c.Client.CoreV1().Nodes().Get(ctx, n.Name, metav1.GetOptions{})
			if err != nil {
				return corev1.NodeCondition{}, err
			}
			return harness.NodeReady(*now), nil
		}).WithTimeout(settle).Should(And(
			HaveField("Status", corev1.ConditionFalse), HaveField("Message", ContainSubstring("network")),
		), n.Name)
	}
}

func label(node, key, value string) check {
	return check{fmt.Sprintf("label %s=%q on %s", key, value, node), func(ctx SpecContext, c *made) {
		Expect(c.object(ctx, node).Labels).To(HaveKeyWithValue(key, value))
	}}
}

func noLabel(node, key string) check {
	return check{fmt.Sprintf("no label %s on %s", key, node), func(ctx SpecContext, c *made) {
		Expect(c.object(ctx, node).Labels).NotTo(HaveKey(key))
	}}
}

// taints checks all taints of a node, as "key=value:effect", but Kubernetes' own
// about its condition.
func taints(node string, want ...string) check {
	return check{fmt.Sprintf("taints %v on %s", want, node), func(ctx SpecContext, c *made) {
		var got []string
		for _, t := range c.object(ctx, node).Spec.Taints {
			if !strings.HasPrefix(t.Key, "node.kubernetes.io/") {
				got = append(got, t.ToString())
			}
		}
		Expect(got).To(ConsistOf(want))
	}}
}

func version(want string) check {
	return check{"Kubernetes " + want, func(ctx SpecContext, c *made) {
		Expect(c.Summary.KubernetesVersion).To(Equal(want))
		for _, n := range c.Nodes(ctx) {
			Expect(n.Status.NodeInfo.KubeletVersion).To(Equal(want), n.Name)
		}
	}}
}

func maxPods(node string, want int64) check {
	return check{fmt.Sprintf("at most %d pods on %s", want, node), func(ctx SpecContext, c *made) {
		Expect(c.object(ctx, node).Status.Capacity.Pods().Value()).To(Equal(want))
	}}
}

// reserved checks that a node keeps at least this much memory from pods.
func reserved(node, memory string) check {
	return check{fmt.Sprintf("%s of memory reserved on %s", memory, node), func(ctx SpecContext, c *made) {
		s := c.object(ctx, node).Status
		want := resource.MustParse(memory)
		Expect(s.Capacity.Memory().Value() - s.Allocatable.Memory().Value()).To(BeNumerically(">=", want.Value()))
	}}
}

// limited checks that the engine limits a node, and that its kubelet hands out
// what the limit leaves of the machine.
func limited(node, cpus, memory string) check {
	return check{fmt.Sprintf("%s has %s CPUs and %s of memory", node, cpus, memory), func(ctx SpecContext, c *made) {
		cpu, mem := resource.MustParse(cpus), resource.MustParse(memory)
		s := c.object(ctx, node).Status
		Expect(s.Allocatable.Cpu().MilliValue()).To(Equal(min(cpu.MilliValue(), s.Capacity.Cpu().MilliValue())), "CPU, in thousandths")
		Expect(s.Allocatable.Memory().Value()).To(Equal(min(mem.Value(), s.Capacity.Memory().Value())), "memory, in bytes")
		found, err := engine(ctx).API.ContainerInspect(ctx, c.node(node))
		Expect(err).NotTo(HaveOccurred())
		Expect(found.HostConfig.NanoCPUs).To(Equal(cpu.MilliValue() * 1e6))
		Expect(found.HostConfig.Memory).To(Equal(mem.Value()))
	}}
}

func env(node, key, value string) check {
	return check{fmt.Sprintf("%s=%s in %s", key, value, node), func(ctx SpecContext, c *made) {
		Expect(strings.TrimSpace(c.MustExec(ctx, c.node(node), "printenv", key))).To(Equal(value))
	}}
}

// sees checks that a file of the host is at a path in a node.
func sees(node, inNode, onHost string) check {
	return check{fmt.Sprintf("%s of the host is %s in %s", onHost, inNode, node), func(ctx SpecContext, c *made) {
		want, err := os.ReadFile(onHost)
		Expect(err).NotTo(HaveOccurred())
		Expect(c.MustExec(ctx, c.node(node), "cat", inNode)).To(Equal(string(want)))
	}}
}

// seesNew is sees for a file that is made while the cluster runs.
func seesNew(node, inNode, onHost string) check {
	return check{fmt.Sprintf("%s of the host is %s in %s", onHost, inNode, node), func(ctx SpecContext, c *made) {
		file := filepath.Join(onHost, c.Name)
		Expect(os.WriteFile(file, []byte(c.Name), 0o600)).To(Succeed())
		DeferCleanup(os.Remove, file)
		Expect(c.MustExec(ctx, c.node(node), "cat", path.Join(inNode, c.Name))).To(Equal(c.Name))
	}}
}

// writes checks that what a node writes to a folder is on the host. The node
// takes it away again, since the host's user may not.
func writes(node, inNode, onHost string) check {
	return check{fmt.Sprintf("%s writes to %s of the host", node, onHost), func(ctx SpecContext, c *made) {
		file := path.Join(inNode, c.Name)
		c.MustExec(ctx, c.node(node), "sh", "-c", "echo written > "+file)
		DeferCleanup(func(ctx SpecContext) { c.MustExec(ctx, c.node(node), "rm", file) })
		Expect(os.ReadFile(filepath.Join(onHost, c.Name))).To(BeEquivalentTo("written\n"))
	}}
}

func readOnly(node, dir string) check {
	return check{fmt.Sprintf("%s is read-only in %s", dir, node), func(ctx SpecContext, c *made) {
		r := c.Exec(ctx, c.node(node), "touch", path.Join(dir, c.Name))
		Expect(r.Code).NotTo(Equal(0), r.String())
		Expect(r.Stderr).To(ContainSubstring("Read-only"))
	}}
}

func socket(node, file string) check {
	return check{fmt.Sprintf("%s is a socket in %s", file, node), func(ctx SpecContext, c *made) {
		c.MustExec(ctx, c.node(node), "test", "-S", file)
	}}
}
