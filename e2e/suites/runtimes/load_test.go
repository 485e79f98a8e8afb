package runtimes_test

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

// loading is what a node runs while it takes images, as pgrep -f finds it.
const loading = "^kluster-containerd|^kluster-images|^kluster-node docker-load|images/load"

// staged are the folders in which a node keeps what it takes.
const staged = "ls -d /var/lib/containerd/kluster-load /var/lib/containers/kluster-load /var/lib/docker/tmp/docker-import-* 2> /dev/null || true"

// imageFile writes an archive with an image of this platform and so many bytes.
func imageFile(ref, arch string, size int64) string {
	GinkgoHelper()
	return archived(ref, imageOf(arch, size))
}

// imageOf is an image of two layers.
func imageOf(arch string, size int64) v1.Image {
	GinkgoHelper()
	img, err := random.Image(size, 2)
	Expect(err).NotTo(HaveOccurred())
	config, err := img.ConfigFile()
	Expect(err).NotTo(HaveOccurred())
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", arch
	img, err = mutate.ConfigFile(img, config)
	Expect(err).NotTo(HaveOccurred())
	return img
}

// archived writes an archive with an image.
func archived(ref string, img v1.Image) string {
	GinkgoHelper()
	tag, err := name.NewTag(ref)
	Expect(err).NotTo(HaveOccurred())
	file := filepath.Join(GinkgoT().TempDir(), "image.tar")
	Expect(tarball.MultiWriteToFile(file, map[name.Tag]v1.Image{tag: img})).To(Succeed())
	return file
}

// holds says whether a node has an image.
func (m *made) holds(ctx context.Context, node corev1.Node, ref string) bool {
	return m.Exec(ctx, node.Name, "crictl", "inspecti", "-q", ref).Code == 0
}

// interruptsLoads interrupts loads at the first sign of them in a node, and ever later.
func interruptsLoads(ctx SpecContext, m *made) {
	const ref = "kluster.test/it-interrupted:v1"
	nodes := m.Nodes(ctx)
	arch := nodes[0].Status.NodeInfo.Architecture
	for _, after := range []time.Duration{0, 300 * time.Millisecond, time.Second} {
		archive := imageFile(ref, arch, 100<<20)
		p, err := m.Start(ctx, nil, "load", "--cluster", m.Name, "--archive", archive)
		Expect(err).NotTo(HaveOccurred())
		Eventually(ctx, func() int { return m.Exec(ctx, nodes[0].Name, "pgrep", "-f", loading).Code }).
			WithTimeout(reach).WithPolling(20 * time.Millisecond).Should(BeZero())
		timer := time.NewTimer(after) // of which moment is the question
		<-timer.C
		Expect(p.Signal(syscall.SIGINT)).To(Succeed())
		r := p.Wait()
		Expect(r.Code).To(BeElementOf(0, 130), r.String())
		m.eachNode(ctx, func(n corev1.Node) {
			Expect(m.MustExec(ctx, n.Name, "sh", "-c", staged)).To(BeEmpty(), n.Name)
			if r.Code == 0 {
				Expect(m.holds(ctx, n, ref)).To(BeTrue(), n.Name)
			}
		})
		m.Must(ctx, "load", "--cluster", m.Name, "--archive", archive, "--verify")
		m.eachNode(ctx, func(n corev1.Node) { m.Exec(ctx, n.Name, "crictl", "rmi", ref) })
	}
}

// loadsAtOnce loads three images into all nodes at the same time: the same one twice, and
// one on the same layers.
func loadsAtOnce(ctx SpecContext, m *made) {
	const ref, other = "kluster.test/at-once:v1", "kluster.test/at-once:v2"
	base := imageOf(m.Nodes(ctx)[0].Status.NodeInfo.Architecture, 60<<20)
	layer, err := random.Layer(20<<20, types.DockerLayer)
	Expect(err).NotTo(HaveOccurred())
	more, err := mutate.AppendLayers(base, layer)
	Expect(err).NotTo(HaveOccurred())
	var loads []*harness.Process
	for _, file := range []string{archived(ref, base), archived(ref, base), archived(other, more)} {
		p, err := m.Start(ctx, nil, "load", "--cluster", m.Name, "--archive", file, "--verify")
		Expect(err).NotTo(HaveOccurred())
		loads = append(loads, p)
	}
	for _, p := range loads {
		r := p.Wait()
		Expect(r.Code).To(BeZero(), r.String())
	}
	m.eachNode(ctx, func(n corev1.Node) {
		Expect(m.holds(ctx, n, ref)).To(BeTrue(), n.Name)
		Expect(m.holds(ctx, n, other)).To(BeTrue(), n.Name)
		Expect(m.MustExec(ctx, n.Name, "sh", "-c", staged)).To(BeEmpty(), n.Name)
		m.MustExec(ctx, n.Name, "crictl", "rmi", ref, other)
	})
}

func refusesLoads(ctx SpecContext, m *made) {
	const ref = "kluster.test/it-refused:v1"
	arch := m.Nodes(ctx)[0].Status.NodeInfo.Architecture
	damaged := imageFile(ref, arch, 1<<20)
	text, err := os.ReadFile(damaged)
	Expect(err).NotTo(HaveOccurred())
	text[len(text)/4] ^= 0xff // in the content of the first layer
	Expect(os.WriteFile(damaged, text, 0o600)).To(Succeed())
	for file, says := range map[string]string{
		imageFile(ref, "s390x", 1000): "is for linux/s390x, and the nodes are linux/" + arch,
		damaged:                       "damaged",
	} {
		r := m.Run(ctx, "load", "--cluster", m.Name, "--archive", file)
		Expect(r.Code).To(BeElementOf(1, 2), r.String())
		Expect(r.Stderr).To(ContainSubstring(says))
		m.eachNode(ctx, func(n corev1.Node) {
			Expect(m.holds(ctx, n, ref)).To(BeFalse(), n.Name)
			Expect(m.MustExec(ctx, n.Name, "sh", "-c", staged)).To(BeEmpty(), n.Name)
		})
	}
}
