package offline_test

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

const (
	// saveTimeout is that of a save that has everything to build.
	saveTimeout = time.Hour
	loadTimeout = 10 * time.Minute
	runTimeout  = 30 * time.Minute
)

var _ = Describe("a bundle", Ordered, Serial, harness.Long, func() {
	var (
		file string
		m    *machine
	)

	BeforeAll(func(ctx SpecContext) {
		m = &machine{Room: harness.NewRoom(ctx)}
		file = m.Path("kluster.tar")
		k := harness.SuiteKluster()
		r := k.Must(ctx, "bundle", "save", file)
		AddReportEntry("kluster bundle save", r.Took.Round(100*time.Millisecond).String()+": "+r.Stdout)
		m.install(file)
	}, NodeTimeout(saveTimeout))

	It("finds a machine that has nothing", func(ctx SpecContext) {
		Expect(m.networks(ctx)).To(HaveEach(HaveField("String()", "172.17.0.0/16")), "but the engine's own")
		Expect(m.images(ctx)).To(BeEmpty())
		Expect(m.kluster.Run(ctx, "create", "--name", harness.Name("offline"))).To(
			And(HaveField("Code", 4), HaveField("Stderr", ContainSubstring("no Go toolchain"))))
	}, NodeTimeout(time.Minute))

	DescribeTable("that is not whole changes nothing", func(ctx SpecContext, spoil func(f *os.File, size int64) (undo func())) {
		f, err := os.OpenFile(file, os.O_RDWR, 0)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(f.Close)
		info, err := f.Stat()
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(spoil(f, info.Size()))
		Expect(m.kluster.Run(ctx, "bundle", "load", file)).To(
			And(HaveField("Code", 2), HaveField("Stderr", ContainSubstring("damaged or cut off"))))
		Expect(m.images(ctx)).To(BeEmpty())
		Expect(filepath.Glob(filepath.Join(m.Path("home"), ".cache", "kluster", "steps", "*"))).To(BeEmpty())
	},
		Entry("one bit of a layer", NodeTimeout(loadTimeout), func(f *os.File, size int64) func() { return flip(f, size/2) }),
		Entry("one bit of the programs", NodeTimeout(loadTimeout), func(f *os.File, _ int64) func() { return flip(f, 1<<20) }),
		Entry("its end", NodeTimeout(loadTimeout), cut),
	)

	It("can be loaded again when a load was interrupted", func(ctx SpecContext) {
		p, err := m.kluster.Start(ctx, nil, "bundle", "load", file)
		Expect(err).NotTo(HaveOccurred())
		Eventually(ctx, func(ctx context.Context) []string { return m.images(ctx) }).
			WithTimeout(5 * time.Minute).WithPolling(50 * time.Millisecond).Should(HaveLen(1))
		Expect(p.Signal(syscall.SIGINT)).To(Succeed())
		Expect(p.Wait()).To(HaveField("Code", 130))
		Expect(m.images(ctx)).To(HaveLen(1))

		r := m.kluster.Must(ctx, "bundle", "load", file)
		AddReportEntry("kluster bundle load, one of two images there", r.Took.Round(100*time.Millisecond).String())
		Expect(m.images(ctx)).To(HaveLen(2))
	}, NodeTimeout(loadTimeout))

	It("creates a cluster", func(ctx SpecContext) {
		name := harness.Name("offline")
		DeferCleanup(m.kluster.Delete, name)
		r := m.kluster.Must(ctx, "create", "--name", name, "--nodes", "2")
		AddReportEntry("kluster create --nodes 2", r.Took.Round(100*time.Millisecond).String())
		nodes := m.kluster.Must(ctx, "kubectl", "--cluster", name, "--", "get", "nodes", "-o", "name")
		Expect(nodes.Lines()).To(HaveLen(2))
	}, NodeTimeout(harness.CreateTimeout))

	It("passes the smoke suite", func(ctx SpecContext) {
		r := m.kluster.Must(ctx, "e2e", "run", "--suite", "smoke", "--create", "--report-dir", m.Path("report"))
		AddReportEntry("kluster e2e run --suite smoke --create", r.Took.Round(100*time.Millisecond).String())
		Expect(r.Stdout+r.Stderr).To(ContainSubstring("ok: all 14 specs passed"), r.String())
	}, NodeTimeout(runTimeout))
})

// flip changes a bit of a file.
func flip(f *os.File, at int64) (undo func()) {
	GinkgoHelper()
	change := func() {
		b := make([]byte, 1)
		_, err := f.ReadAt(b, at)
		Expect(err).NotTo(HaveOccurred())
		b[0] ^= 1
		_, err = f.WriteAt(b, at)
		Expect(err).NotTo(HaveOccurred())
	}
	change()
	return change
}

// cut takes the last megabyte of a file away.
func cut(f *os.File, size int64) (undo func()) {
	GinkgoHelper()
	end := make([]byte, 1<<20)
	_, err := f.ReadAt(end, size-int64(len(end)))
	Expect(err).NotTo(HaveOccurred())
	Expect(f.Truncate(size - int64(len(end)))).To(Succeed())
	return func() {
		_, err := f.WriteAt(end, size-int64(len(end)))
		Expect(err).NotTo(HaveOccurred())
	}
}
