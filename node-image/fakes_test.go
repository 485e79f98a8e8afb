package nodeimage

import (
	"archive/tar"
	"context"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kluster-project/kluster/internal/cri"
)

// machine is a fake machine: its go and mmdebstrap are scripts.
type machine struct {
	t   *testing.T
	dir string
	env Env
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, dir: t.TempDir()}
	m.write("go.version", "go1.99.0\n")
	m.write("keyring.gpg", "")
	m.write("module/test/images/agnhost/porter/localhost.crt", "certificate")
	m.write("module/test/images/agnhost/porter/localhost.key", "key")
	m.write("module/config/manifests/metallb-native.yaml", "MetalLB")
	for _, name := range []string{"nautilus/html/data.json", "nautilus/html/nautilus.jpg", "kitten/html/data.json", "kitten/html/kitten.jpg"} {
		m.write("module/test/images/"+name, name)
	}
	m.write("kluster-node", "node program")
	t.Setenv("FAKE_DIR", m.dir)
	scripts, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	m.env = Env{
		Go: filepath.Join(scripts, "go.sh"), Mmdebstrap: filepath.Join(scripts, "mmdebstrap.sh"), Keyring: m.path("keyring.gpg"),
		Sources: func() ([]aptSource, error) {
			return []aptSource{{URI: "http://mirror.example/debian", Suite: "bookworm", Component: "main", Origin: "Debian"}}, nil
		},
	}
	return m
}

func (m *machine) path(name string) string { return filepath.Join(m.dir, name) }

func (m *machine) write(name, text string) string {
	m.t.Helper()
	if err := os.MkdirAll(filepath.Dir(m.path(name)), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(m.path(name), []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
	return m.path(name)
}

// calls counts what was run of a fake program, from a word on.
func (m *machine) calls(program, word string) int {
	data, err := os.ReadFile(m.path(program + ".log"))
	if err != nil && !os.IsNotExist(err) {
		m.t.Fatal(err)
	}
	n := 0
	for _, line := range strings.Split(string(data), "\n") {
		if strings.HasPrefix(line, word) {
			n++
		}
	}
	return n
}

func (m *machine) spec() Spec {
	return Spec{Kubernetes: "v1.36.3", Arch: "amd64", NodeBinary: m.path("kluster-node")}
}

func (m *machine) resolve(spec Spec) *Recipe {
	m.t.Helper()
	r, err := Resolve(context.Background(), spec, m.env)
	if err != nil {
		m.t.Fatal(err)
	}
	return r
}

// fakeSandbox makes outputs without running anything.
type fakeSandbox struct {
	mu   sync.Mutex
	runs []string
}

func (f *fakeSandbox) Run(_ context.Context, run SandboxRun) error {
	f.mu.Lock()
	f.runs = append(f.runs, run.Name)
	f.mu.Unlock()
	files := map[string]string{"out/" + strings.TrimPrefix(run.Name, "build-"): run.Name}
	if run.Name == "build-cri-o" {
		files = map[string]string{"out/crio": run.Name}
	}
	if name, ok := strings.CutPrefix(run.Name, "store-"); ok {
		index, err := os.ReadFile(filepath.Join(hostOf(run, "/images"), "index.json"))
		if err != nil {
			return err
		}
		runtime, err := cri.Get(name)
		if err != nil {
			return err
		}
		state := path.Base(runtime.StateDir)
		files = map[string]string{
			state + "/" + runtime.Store.Parts[0] + "/meta.db": string(index),
			state + "/tmpmounts/x":                            "left out",
		}
	}
	for _, w := range run.Outputs {
		if err := writeTar(w, files); err != nil {
			return err
		}
	}
	return nil
}

func hostOf(run SandboxRun, path string) string {
	for host, p := range run.Mounts {
		if p == path {
			return host
		}
	}
	return ""
}

func writeTar(w io.Writer, files map[string]string) error {
	tw := tar.NewWriter(w)
	for name, text := range files {
		h := &tar.Header{Name: name, Mode: 0o755, Size: int64(len(text)), Typeflag: tar.TypeReg, ModTime: time.Unix(12345, 0)}
		if err := tw.WriteHeader(h); err != nil {
			return err
		}
		if _, err := io.WriteString(tw, text); err != nil {
			return err
		}
	}
	return tw.Close()
}

// progressLog records the steps that a build told of.
type progressLog struct {
	mu          sync.Mutex
	steps       []string
	failed      int
	done, total int64
}

func (p *progressLog) Start(step string, _ time.Duration) func(error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.steps = append(p.steps, step)
	return func(err error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if err != nil {
			p.failed++
		}
	}
}

func (p *progressLog) Progress(done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done, p.total = done, total
}
