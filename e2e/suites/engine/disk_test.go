package engine_test

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/docker/docker/api/types/image"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

// full is what a command says that found a disk full: exit code 4, and what is needed.
func full(says string) types.GomegaMatcher {
	return And(HaveField("Code", 4), HaveField("Stderr", And(
		MatchRegexp("no space left on device|the engine's disk is full"), MatchRegexp(says))))
}

var _ = Describe("A disk that is full", Serial, harness.Long, func() {
	It("of the engine: an image is not loaded, and nothing is left of it", func(ctx SpecContext) {
		room := harness.NewSmallRoom(ctx, 600<<20)
		k := kluster(room)
		r := k.Run(ctx, "build", "node-image")
		Expect(r).To(full(`hint: \d+\.\d GB must be free below \S+, and \d+\.\d GB are`), r.String())
		Expect(room.API.ImageList(ctx, image.ListOptions{All: true})).To(BeEmpty())
		Expect(files(filepath.Join(room.Path("data"), "tmp"))).To(BeEmpty())
	}, NodeTimeout(loadTimeout))

	It("of the engine: a cluster is refused before anything is made", func(ctx SpecContext) {
		room := harness.NewSmallRoom(ctx, 6<<30)
		k := kluster(room)
		k.Must(ctx, "build", "node-image")
		room.FillData(100 << 20)
		r := k.Run(ctx, "create", "--name", "races", "--nodes", "3")
		Expect(r).To(full(`hint: `), r.String())
		Expect(r.Took).To(BeNumerically("<", 30*time.Second))
		Expect(room.Engine().Leftovers(ctx, "races")).To(BeEmpty())
		Expect(k.Kubeconfig).NotTo(BeAnExistingFile())
	}, NodeTimeout(loadTimeout))

	It("of the cache: a build says what it needs, and leaves no image", func(ctx SpecContext) {
		k := harness.New()
		disk := harness.SmallDisk(20 << 20)
		k.Env = []string{"KLUSTER_CACHE=" + disk, "TMPDIR=" + GinkgoT().TempDir()}
		// Of a version that no engine has an image of, so that it is built.
		r := k.Run(ctx, "build", "node-image", "--kubernetes-version", "v1.34.4")
		Expect(r).To(full("hint: .* needs .* in the cache"), r.String())
		Expect(imagesOf(ctx)).NotTo(ContainElement(ContainSubstring(":v1.34.4-")))
		left, err := filepath.Glob(filepath.Join(disk, "*", "*.tmp*"))
		Expect(err).NotTo(HaveOccurred())
		Expect(left).To(BeEmpty())
	}, NodeTimeout(loadTimeout))
})

// files are the names in a folder, which need not exist.
func files(dir string) []string {
	GinkgoHelper()
	entries, err := os.ReadDir(dir)
	Expect(err).To(Or(Not(HaveOccurred()), MatchError(os.ErrNotExist)))
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// imagesOf are the names of what this machine's engine holds.
func imagesOf(ctx SpecContext) []string {
	GinkgoHelper()
	list, err := harness.SpecEngine(ctx).API.ImageList(ctx, image.ListOptions{})
	Expect(err).NotTo(HaveOccurred())
	var names []string
	for _, i := range list {
		names = append(names, strings.Join(i.RepoTags, " "))
	}
	return names
}
