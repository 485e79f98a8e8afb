package kubeadm

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/pki"
)

// TestRealKubeadm lets a real kubeadm of v1.36 judge what is rendered. It runs as
// root, since kubeadm's dry run works below /etc/kubernetes: a spec of the suite
// e2e/suites/cluster runs it in a node.
func TestRealKubeadm(t *testing.T) {
	bin := os.Getenv("KLUSTER_TEST_KUBEADM")
	if bin == "" {
		t.Skip("KLUSTER_TEST_KUBEADM does not name a kubeadm v1.36 to test with")
	}
	ca, err := pki.New(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	run := func(t *testing.T, args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), bin, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("kubeadm %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	for name, with := range map[string]func(*Input){"plain": nil, "dual-stack": dualStack, "everything": everything} {
		t.Run(name, func(t *testing.T) {
			in := input("v1.36.3", 3, 1)
			in.CA = ca.CACertificate()
			if with != nil {
				with(&in)
			}
			nodes, err := Render(in)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			for _, n := range in.Cluster.Nodes[:3] {
				for _, path := range []string{ConfigFile, EtcdConfigFile} {
					to := filepath.Join(dir, n.Name+filepath.Base(path))
					write(t, to, []byte(file(t, nodes[n.Name], path)))
					if out := run(t, "config", "validate", "--config", to); out != "ok\n" {
						t.Errorf("%s of %s: %s", path, n.Name, out)
					}
				}
			}
			conf := filepath.Join(dir, in.Cluster.Nodes[0].Name+filepath.Base(ConfigFile))
			checkCertificates(t, run, ca, nodes, conf)
			checkKubelet(t, run, nodes["demo-worker-1"], conf)
		})
	}
}

// checkCertificates lets kubeadm make the rest of the certificates, which it must
// sign with our authorities, and look at a kubelet.conf, which it must leave.
func checkCertificates(t *testing.T, run func(*testing.T, ...string) string, ca *pki.Authority, nodes map[string]Node, conf string) {
	t.Helper()
	root := t.TempDir()
	files, err := ca.ControlPlaneFiles()
	if err != nil {
		t.Fatal(err)
	}
	kubelet, err := ca.KubeletFiles("demo-control-plane-1")
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, kubelet...)
	files = append(files, nodes["demo-control-plane-1"].Files...)
	for _, f := range files {
		if f.Link == "" {
			write(t, filepath.Join(root, f.Path), f.Data)
		}
	}
	// kubeadm takes no --cert-dir beside --config.
	text, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	conf = filepath.Join(root, "kubeadm.yaml")
	at := "\ncertificatesDir: " + filepath.Join(root, pki.Dir) + "\nclusterName:"
	write(t, conf, []byte(strings.Replace(string(text), "\nclusterName:", at, 1)))
	out := run(t, "init", "phase", "certs", "all", "--config", conf)
	for _, want := range []string{
		"Using existing ca certificate authority", "Using existing etcd/ca certificate authority",
		"Using existing front-proxy-ca certificate authority", `Using the existing "sa" key`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("kubeadm did not say %q:\n%s", want, out)
		}
	}
	run(t, "certs", "renew", "apiserver", "--config", conf)
	run(t, "certs", "renew", "etcd-peer", "--config", conf)
	out = run(t, "init", "phase", "kubeconfig", "kubelet", "--config", conf,
		"--kubeconfig-dir", filepath.Dir(filepath.Join(root, nodespec.KubeletConf)))
	if !strings.Contains(out, "Using existing kubeconfig file") || strings.Contains(out, "unexpected API Server URL") {
		t.Errorf("kubeadm did not take kubelet.conf as it is:\n%s", out)
	}
}

// checkKubelet compares a worker's files with those that kubeadm itself writes.
func checkKubelet(t *testing.T, run func(*testing.T, ...string) string, worker Node, conf string) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("KUBEADM_INIT_DRYRUN_DIR", dir)
	run(t, "init", "phase", "kubelet-start", "--dry-run", "--config", conf)
	for _, name := range []string{"config.yaml", "instance-config.yaml"} {
		var got []byte
		err := filepath.Walk(dir, func(path string, _ os.FileInfo, err error) error {
			if filepath.Base(path) == name {
				got, err = os.ReadFile(path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(got), file(t, worker, kubeletDir+name)); diff != "" {
			t.Errorf("%s differs from kubeadm's (-kubeadm +kluster):\n%s", name, diff)
		}
	}
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
