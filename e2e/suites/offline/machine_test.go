package offline_test

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

// machine is one with an engine and nothing else. Its loopback interface is all the
// network that it has, beside those that the engine makes.
type machine struct {
	dir     string
	pid     int // of the engine
	api     *client.Client
	kluster *harness.Kluster
}

// needed are the host's programs that make such a machine.
var needed = []string{"dockerd", "unshare", "nsenter", "ip", "env"}

// newMachine starts the engine, which ends with the container of the spec.
func newMachine(ctx SpecContext) *machine {
	GinkgoHelper()
	if os.Geteuid() != 0 {
		Skip("a network namespace and an engine of its own need root")
	}
	for _, program := range needed {
		if _, err := exec.LookPath(program); err != nil {
			Skip(err.Error())
		}
	}
	dir, err := os.MkdirTemp("", "kluster-it-")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(os.RemoveAll, dir)
	m := &machine{dir: dir}
	for _, name := range []string{"home", "empty", "bin"} {
		Expect(os.Mkdir(m.path(name), 0o755)).To(Succeed())
	}
	m.start(ctx)
	return m
}

func (m *machine) path(name string) string { return filepath.Join(m.dir, name) }

func (m *machine) start(ctx SpecContext) {
	GinkgoHelper()
	Expect(os.WriteFile(m.path("daemon.json"), []byte("{}"), 0o600)).To(Succeed())
	log, err := os.Create(m.path("dockerd.log"))
	Expect(err).NotTo(HaveOccurred())
	defer log.Close()
	args := []string{
		"--net", "--mount", "sh", "-c", `ip link set lo up && exec dockerd "$@"`, "sh", "--config-file", m.path("daemon.json"),
		"--data-root", m.path("data"), "--exec-root", m.path("exec"), "--pidfile", m.path("pid"), "--host", "unix://" + m.path("sock"),
	}
	cmd := exec.Command("unshare", args...) //nolint:noctx // it is told to end, and waited for
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the specs
	Expect(cmd.Start()).To(Succeed())
	m.pid = cmd.Process.Pid
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	DeferCleanup(func(ctx context.Context) {
		Expect(cmd.Process.Signal(syscall.SIGTERM)).To(Or(Succeed(), MatchError(os.ErrProcessDone)))
		select {
		case err := <-ended:
			Expect(err).NotTo(HaveOccurred())
		case <-ctx.Done():
			Expect(errors.Join(context.Cause(ctx), cmd.Process.Kill())).To(Succeed(), "the engine does not end")
		}
	}, NodeTimeout(time.Minute))
	m.api, err = client.NewClientWithOpts(client.WithHost("unix://"+m.path("sock")), client.WithAPIVersionNegotiation())
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(m.api.Close)
	Eventually(ctx, func(ctx context.Context) error {
		_, err := m.api.Ping(ctx)
		return err
	}).WithTimeout(time.Minute).WithPolling(100*time.Millisecond).Should(Succeed(), m.log())
}

// log is what the engine said last.
func (m *machine) log() string {
	text, err := os.ReadFile(m.path("dockerd.log"))
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
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
			Expect(os.WriteFile(filepath.Join(m.path("bin"), h.Name), data, h.FileInfo().Mode())).To(Succeed())
		}
	}
	// Who runs it sees the engine's network, and none of this machine's variables.
	script := fmt.Sprintf(`#!/bin/sh
exec nsenter --target %d --net env -i HOME=%[2]s TMPDIR=%[2]s PATH=%s DOCKER_HOST=unix://%s KUBECONFIG="$KUBECONFIG" %s "$@"
`, m.pid, m.path("home"), m.path("empty"), m.path("sock"), filepath.Join(m.path("bin"), "kluster"))
	Expect(os.WriteFile(m.path("kluster"), []byte(script), 0o755)).To(Succeed())
	m.kluster = &harness.Kluster{Bin: m.path("kluster"), Kubeconfig: m.path("kubeconfig")}
}

// images are the names of what the engine holds.
func (m *machine) images(ctx context.Context) []string {
	GinkgoHelper()
	list, err := m.api.ImageList(ctx, image.ListOptions{All: true})
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
	out, err := exec.CommandContext(ctx, "nsenter", "--target", fmt.Sprint(m.pid), "--net", "ip", "route").Output()
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
