package offline_test

import (
	"archive/tar"
	"context"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/image"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

// machine is one with an engine and nothing else.
type machine struct {
	*harness.Room
	kluster *harness.Kluster
}

// install takes kluster's programs out of a bundle, as tar would.
func (m *machine) install(bundle string) {
	GinkgoHelper()
	f, err := os.Open(bundle)
	Expect(err).NotTo(HaveOccurred())
	defer f.Close()
	programs := []string{"kluster", "kluster-node"}
	for tr := tar.NewReader(f); len(programs) > 0; {
		h, err := tr.Next()
		Expect(err).NotTo(HaveOccurred(), "the bundle lacks %q", programs)
		if i := slices.Index(programs, h.Name); i >= 0 {
			programs = slices.Delete(programs, i, i+1)
			data, err := io.ReadAll(tr)
			Expect(err).NotTo(HaveOccurred())
			Expect(os.WriteFile(filepath.Join(m.Path("bin"), h.Name), data, h.FileInfo().Mode())).To(Succeed())
		}
	}
	home, empty := m.Path("home"), m.Path("empty")
	m.kluster = m.Kluster(filepath.Join(m.Path("bin"), "kluster"), "HOME="+home, "TMPDIR="+home, "PATH="+empty)
}

// images are the names of what the engine holds.
func (m *machine) images(ctx context.Context) []string {
	GinkgoHelper()
	list, err := m.API.ImageList(ctx, image.ListOptions{All: true})
	Expect(err).NotTo(HaveOccurred())
	var names []string
	for _, i := range list {
		names = append(names, i.RepoTags...)
	}
	return names
}

// networks are those that the machine has routes to.
func (m *machine) networks(ctx SpecContext) []netip.Prefix {
	GinkgoHelper()
	out, err := m.Command(ctx, "ip", "route").Output()
	Expect(err).NotTo(HaveOccurred())
	var to []netip.Prefix
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		first, _, _ := strings.Cut(line, " ")
		prefix, err := netip.ParsePrefix(first)
		Expect(err).NotTo(HaveOccurred(), "a route out: %s", line)
		to = append(to, prefix)
	}
	return to
}
