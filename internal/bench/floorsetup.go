package bench

import (
	"archive/tar"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/kluster-project/kluster/internal/nodespec"
)

// floorAddress is what kubeadm is told of the node's address, since it takes no
// 127.0.0.1. Nobody has it: it is set aside for documentation (RFC 5737).
const floorAddress = "192.0.2.1"

// floorFolder is where the script leaves what the floor is made of.
const floorFolder = "/bench"

// floorScript lets the image's own kubeadm make certificates and static pods, so
// that the floor's flags are those of a cluster's, and finds the programs among
// the preloaded images.
const floorScript = `
mkdir -p ` + floorFolder + `
cat > ` + floorFolder + `/kubeadm.yaml <<'YAML'
%[1]s
YAML
for phase in 'certs all' 'etcd local' 'control-plane apiserver'; do
  kubeadm init phase $phase --config ` + floorFolder + `/kubeadm.yaml >&2
done
cp -r '%[2]s/pki' /etc/kubernetes/manifests ` + floorFolder + `
for program in etcd kube-apiserver; do
  find ` + nodespec.StoreDir + ` -type f -path "*/usr/local/bin/$program" -exec cp {} ` + floorFolder + `/$program \;
done
`

// floorConfig is kubeadm's configuration; the API server is for this host alone.
const floorConfig = `apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint: {advertiseAddress: %[1]s, bindPort: %[2]d}
nodeRegistration: {name: bench-floor, criSocket: "unix:///run/containerd/containerd.sock"}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: %[3]s
certificatesDir: %[4]s/pki
encryptionAlgorithm: ECDSA-P256
etcd: {local: {dataDir: %[4]s/data}}
apiServer:
  certSANs: [127.0.0.1]
  extraArgs: [{name: bind-address, value: 127.0.0.1}]
`

// etcdPorts are those of kubeadm's etcd: clients, peers, metrics.
var etcdPorts = []string{"2379", "2380", "2381"}

// newFloor takes programs, flags and certificates out of a node image into dir,
// where the floor will also write. Nothing of it is made again later.
func newFloor(ctx context.Context, engine Engine, image, kubernetes, dir string) (*floor, error) {
	ports, err := freePorts(ctx, len(etcdPorts)+1)
	if err != nil {
		return nil, err
	}
	config := fmt.Sprintf(floorConfig, floorAddress, ports[0], kubernetes, dir)
	err = engine.Extract(ctx, image, fmt.Sprintf(floorScript, config, dir), floorFolder, unpackTo(dir))
	if err != nil {
		return nil, fmt.Errorf("taking etcd and kube-apiserver out of image %s: %w", image, err)
	}
	f := &floor{
		data:        filepath.Join(dir, "data"),
		etcdAddress: fmt.Sprintf("127.0.0.1:%d", ports[1]),
		url:         fmt.Sprintf("https://127.0.0.1:%d/readyz", ports[0]),
	}
	var renumber []string
	for i, port := range etcdPorts {
		renumber = append(renumber, ":"+port, fmt.Sprintf(":%d", ports[i+1]))
	}
	for _, p := range []struct {
		name, manifest string
		to             *[]string
		replace        []string
	}{
		{"etcd", "etcd.yaml", &f.etcd, append([]string{floorAddress, "127.0.0.1"}, renumber...)},
		{"kube-apiserver", "kube-apiserver.yaml", &f.apiserver, renumber},
	} {
		args, err := commandOf(filepath.Join(dir, "manifests", p.manifest))
		if err != nil {
			return nil, err
		}
		*p.to = append([]string{filepath.Join(dir, p.name)}, replaced(args[1:], p.replace)...)
		if err := warm((*p.to)[0]); err != nil {
			return nil, err
		}
	}
	f.client, err = clientOf(filepath.Join(dir, "pki", "ca.crt"))
	return f, err
}

// freePorts finds ports of 127.0.0.1 that nobody listens on.
func freePorts(ctx context.Context, n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp4", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("finding a free port: %w", err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// unpackTo writes regular files below dir, without their first folder.
func unpackTo(dir string) func(*tar.Header, io.Reader) error {
	return func(h *tar.Header, r io.Reader) error {
		_, name, _ := strings.Cut(strings.Trim(h.Name, "/"), "/")
		if h.Typeflag != tar.TypeReg || !filepath.IsLocal(name) {
			return nil
		}
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return err
		}
		out, err := os.OpenFile(file, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, h.FileInfo().Mode().Perm())
		if err != nil {
			return err
		}
		_, err = io.Copy(out, r)
		return errors.Join(err, out.Close())
	}
}

// commandOf is the command of a static pod's container.
func commandOf(manifest string) ([]string, error) {
	data, err := os.ReadFile(manifest)
	if err != nil {
		return nil, fmt.Errorf("reading kubeadm's static pod: %w", err)
	}
	var pod corev1.Pod
	if err := yaml.Unmarshal(data, &pod); err != nil {
		return nil, fmt.Errorf("reading kubeadm's static pod %s: %w", manifest, err)
	}
	if len(pod.Spec.Containers) != 1 || len(pod.Spec.Containers[0].Command) == 0 {
		return nil, fmt.Errorf("kubeadm's static pod %s is not one container with a command", manifest)
	}
	return pod.Spec.Containers[0].Command, nil
}

func replaced(args, oldnew []string) []string {
	r := strings.NewReplacer(oldnew...)
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = r.Replace(a)
	}
	return out
}

// warm reads a program once, so that the first start reads no disk either.
func warm(program string) error {
	f, err := os.Open(program)
	if err != nil {
		return fmt.Errorf("the floor's program: %w", err)
	}
	defer f.Close()
	if _, err := io.Copy(io.Discard, f); err != nil {
		return fmt.Errorf("reading the floor's program %s: %w", program, err)
	}
	return nil
}

// clientOf trusts one authority, and uses no proxy.
func clientOf(ca string) (*http.Client, error) {
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, fmt.Errorf("reading the floor's authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", ca)
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}, nil
}
