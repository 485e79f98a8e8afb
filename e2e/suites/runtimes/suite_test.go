// Package runtimes_test makes a cluster on each container runtime, and one that has
// them all, and tries on every one what people do with a cluster.
package runtimes_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
	"github.com/kluster-project/kluster/internal/cri"
)

func TestRuntimes(t *testing.T) { harness.RunSuite(t, "kluster: container runtimes") }

func init() { harness.GatherOnFailure() }

// createLimit bounds a create that builds its node image first.
var createLimit = NodeTimeout(harness.CreateTimeout + 30*time.Minute)

// reach bounds the time until something is programmed on all nodes.
const reach = time.Minute

// cases are the clusters, by what they are called in the specs.
var cases = []struct {
	name string
	args []string
	file string // a configuration instead of args
	// runtimes are the nodes' in the order of their names.
	runtimes []string
}{
	{"containerd", []string{"--nodes", "3", "--runtime", "containerd"}, "", []string{"containerd", "containerd", "containerd"}},
	{"containerd with crun", []string{"--nodes", "1", "--runtime", "containerd", "--oci-runtime", "crun"}, "", []string{"containerd"}},
	{"cri-dockerd", []string{"--nodes", "3", "--runtime", "cri-dockerd"}, "", []string{"cri-dockerd", "cri-dockerd", "cri-dockerd"}},
	{"cri-dockerd with crun", []string{"--nodes", "1", "--runtime", "cri-dockerd", "--oci-runtime", "crun"}, "", []string{"cri-dockerd"}},
	{"CRI-O", []string{"--nodes", "3", "--runtime", "cri-o"}, "", []string{"cri-o", "cri-o", "cri-o"}},
	{"CRI-O with crun", []string{"--nodes", "1", "--runtime", "cri-o", "--oci-runtime", "crun"}, "", []string{"cri-o"}},
	{"all runtimes", nil, mixed, []string{"containerd", "cri-dockerd", "cri-o"}},
}

// mixed is a cluster with one node of each runtime.
const mixed = `apiVersion: kluster.dev/v1alpha1
kind: Cluster
nodes:
- {role: control-plane, runtime: containerd, taints: []}
- {role: worker, runtime: cri-dockerd}
- {role: worker, runtime: cri-o, ociRuntime: crun}
`

// made is a cluster under test.
type made struct {
	*harness.Cluster
	kubectlPath string
	ns          string
	agnhost     string
	busybox     string
}

// create makes a cluster that goes when the specs of its container have ended.
func create(ctx SpecContext, file string, args ...string) *made {
	GinkgoHelper()
	k, name := harness.New(), harness.Name("runtime")
	if file != "" {
		args = append(args, harness.Config(file)...)
	}
	DeferCleanup(k.Delete, name)
	m := &made{Cluster: k.Create(ctx, name, args...), kubectlPath: filepath.Join(filepath.Dir(k.Kubeconfig), "kubectl")}
	k.Must(ctx, "kubectl", "--cluster", name, "--save", m.kubectlPath)
	m.ns, m.agnhost, m.busybox = m.Namespace(ctx), m.Image(ctx, "agnhost"), m.Image(ctx, "busybox")
	return m
}

// kubectl runs the cluster's own kubectl in the namespace of the specs.
func (m *made) kubectl(ctx context.Context, stdin string, args ...string) harness.Result {
	user := &harness.Kluster{Bin: m.kubectlPath, Kubeconfig: m.Kubeconfig}
	return user.RunIn(ctx, strings.NewReader(stdin), append([]string{"--namespace", m.ns}, args...)...)
}

// on is a runtime as a node reports it.
func on(n corev1.Node) cri.Runtime {
	GinkgoHelper()
	runtime, ok := cri.Reported(n.Status.NodeInfo.ContainerRuntimeVersion)
	Expect(ok).To(BeTrue(), "no runtime reports %s", n.Status.NodeInfo.ContainerRuntimeVersion)
	return runtime
}

// eachNode names the nodes for a spec that looks at every one.
func (m *made) eachNode(ctx context.Context, do func(n corev1.Node)) {
	GinkgoHelper()
	for _, n := range m.Nodes(ctx) {
		By(n.Name + " with " + on(n).Name)
		do(n)
	}
}
