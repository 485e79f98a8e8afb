package nodeimage

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/kluster-project/kluster/internal/nodespec"
)

func (m *machine) build(spec Spec, cache string) (v1.Image, nodespec.Manifest, *fakeSandbox, *progressLog) {
	m.t.Helper()
	sandbox, log := &fakeSandbox{}, &progressLog{}
	img, manifest, err := Build(context.Background(), m.resolve(spec), Options{CacheDir: cache, Sandbox: sandbox, Progress: log})
	if err != nil {
		m.t.Fatal(err)
	}
	return img, manifest, sandbox, log
}

func diffIDs(t *testing.T, img v1.Image) []string {
	t.Helper()
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, d := range config.RootFS.DiffIDs {
		out = append(out, d.String())
	}
	return out
}

// files lists the image's files, later layers over earlier ones, with the
// text of regular files and the target of links.
func files(t *testing.T, img v1.Image) map[string]string {
	t.Helper()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, l := range layers {
		r, err := l.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		tr := tar.NewReader(r)
		for {
			h, err := tr.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(tr)
			if err != nil {
				t.Fatal(err)
			}
			out[h.Name] = string(text) + h.Linkname
		}
		r.Close()
	}
	return out
}

func TestBuildMakesANode(t *testing.T) {
	m := newMachine(t)
	img, manifest, sandbox, log := m.build(m.spec(), t.TempDir())
	got := files(t, img)
	for name, want := range map[string]string{
		"usr/bin/kubectl":                                "k8s.io/kubernetes/cmd/kubectl\n",
		"usr/bin/kubelet":                                "/opt/kluster/programs/kubelet/kubelet",
		"usr/local/bin/containerd":                       "/opt/kluster/programs/containerd/containerd",
		"usr/bin/crun":                                   "crun\n",
		"usr/lib/x86_64-linux-gnu/libyajl.so.2":          "yajl\n",
		"usr/local/sbin/runc":                            "/opt/kluster/programs/runc/runc",
		"opt/kluster/programs/kubelet/kubelet":           "k8s.io/kubernetes/cmd/kubelet\n",
		"opt/kluster/programs/containerd/containerd":     "github.com/containerd/containerd/v2/cmd/containerd\n",
		"opt/kluster/programs/runc/runc":                 "build-runc",
		"opt/cni/bin/ptp":                                "github.com/containernetworking/plugins/plugins/main/ptp\n",
		"opt/cni/bin/kluster-ipam":                       nodespec.NodeBinary,
		"usr/local/sbin/kluster-oci":                     nodespec.NodeBinary,
		nodespec.NodeBinary[1:]:                          "/opt/kluster/programs/kluster-node/kluster-node",
		"opt/kluster/programs/kluster-node/kluster-node": "node program",
		"etc/machine-id":                                 "",
		"etc/systemd/system/haproxy.service":             "/dev/null",
	} {
		if text, ok := got[name]; !ok || text != want {
			t.Errorf("%s: got %q, %v; want %q", name, text, ok, want)
		}
	}
	for _, name := range []string{"etc/apt/sources.list", "opt/kluster/store/containerd/tmpmounts/x", "usr/local/bin/crio", "usr/local/bin/dockerd"} {
		if _, ok := got[name]; ok {
			t.Errorf("%s is in the image", name)
		}
	}
	if index := got["opt/kluster/store/containerd/io.containerd.metadata.v1.bolt/meta.db"]; !strings.Contains(index, "registry.k8s.io/kube-apiserver:v1.36.3") {
		t.Errorf("store was made from %q", index)
	}
	slices.Sort(sandbox.runs)
	if diff := cmp.Diff([]string{"build-pause", "build-runc", "store-containerd"}, sandbox.runs); diff != "" {
		t.Error(diff)
	}
	if log.done != log.total || log.total == 0 {
		t.Errorf("progress ended at %d of %d", log.done, log.total)
	}
	checkLabels(t, img, manifest)
}

func checkLabels(t *testing.T, img v1.Image, manifest nodespec.Manifest) {
	t.Helper()
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	var label nodespec.Manifest
	if err := json.Unmarshal([]byte(config.Config.Labels[nodespec.LabelManifest]), &label); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(manifest, label); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{nodespec.NodeBinary, "init"}, config.Config.Entrypoint); diff != "" {
		t.Error(diff)
	}
	if got := config.Config.Labels[nodespec.LabelKubernetes]; got != "v1.36.3" {
		t.Errorf("label says Kubernetes %q", got)
	}
	if diff := cmp.Diff([]nodespec.PackageRecord{{Name: "systemd", Version: "252.1"}}, label.Packages); diff != "" {
		t.Error(diff)
	}
	want := map[string]string{"kubelet": "v1.36.3", "etcd": "v3.6.8", "pause": "3.10.2", "busybox-static": "1:1.37.0-6", "crun": "1.2-3"}
	for _, c := range label.Components {
		if v, ok := want[c.Name]; ok && v != c.Version {
			t.Errorf("%s has version %s, want %s", c.Name, c.Version, v)
		}
		delete(want, c.Name)
		if c.Name == "conmon" {
			t.Error("the manifest tells of CRI-O's conmon, which is not in the image")
		}
		if !strings.HasPrefix(c.Digest, "sha256:") || c.Source == "" {
			t.Errorf("record lacks something: %+v", c)
		}
	}
	if len(want) > 0 {
		t.Errorf("not in the manifest: %v", want)
	}
}

func TestBuildAgainDoesNothing(t *testing.T) {
	m, cache := newMachine(t), t.TempDir()
	first, _, _, _ := m.build(m.spec(), cache)
	builds, roots := m.calls("go", "build"), m.calls("mmdebstrap", "--format")
	second, _, sandbox, log := m.build(m.spec(), cache)
	if diff := cmp.Diff(diffIDs(t, first), diffIDs(t, second)); diff != "" {
		t.Error(diff)
	}
	if m.calls("go", "build") != builds || m.calls("mmdebstrap", "--format") != roots || len(sandbox.runs) > 0 || len(log.steps) > 0 {
		t.Errorf("something was made again: %v %v", sandbox.runs, log.steps)
	}
}

func TestBuildIsDeterministic(t *testing.T) {
	m := newMachine(t)
	first, _, _, _ := m.build(m.spec(), t.TempDir())
	second, _, _, _ := m.build(m.spec(), t.TempDir())
	if diff := cmp.Diff(diffIDs(t, first), diffIDs(t, second)); diff != "" {
		t.Error(diff)
	}
}

func TestOneComponentChangedIsOneLayer(t *testing.T) {
	for name, change := range map[string]func(*machine, *Spec){
		"kubelet": func(m *machine, s *Spec) { s.Overrides = map[string]string{"kubelet": m.write("own", "mine")} },
		"ptp":     func(m *machine, s *Spec) { s.Overrides = map[string]string{"ptp": m.write("own", "mine")} },
		"kube-apiserver, which is in the store": func(m *machine, s *Spec) {
			s.Overrides = map[string]string{"kube-apiserver": m.write("own", "mine")}
		},
		"kluster-node": func(m *machine, s *Spec) { s.NodeBinary = m.write("newer", "newer node program") },
	} {
		t.Run(name, func(t *testing.T) {
			m, cache := newMachine(t), t.TempDir()
			before, _, _, _ := m.build(m.spec(), cache)
			builds := m.calls("go", "build")
			spec := m.spec()
			change(m, &spec)
			after, _, _, _ := m.build(spec, cache)
			if m.calls("go", "build") != builds {
				t.Error("something was compiled again")
			}
			changed := 0
			old := diffIDs(t, before)
			for i, d := range diffIDs(t, after) {
				if d != old[i] {
					changed++
				}
			}
			if changed != 1 {
				t.Errorf("%d layers changed", changed)
			}
		})
	}
}

func TestBuildFailures(t *testing.T) {
	for name, c := range map[string]struct {
		says string
		want any
	}{
		"proxy not reachable": {"go: k8s.io/kubernetes@v1.36.3: Get \"https://proxy.example/\": dial tcp: lookup proxy.example: no such host", new(*NetworkError)},
		"proxy refuses":       {"reading https://proxy.example/x.info: 403 Forbidden\n\tserver response: no", new(*NetworkError)},
		"checksum":            {"verifying module: checksum mismatch\nSECURITY ERROR", new(*ChecksumError)},
		"disk full":           {"write /tmp/x: no space left on device", new(*DiskFullError)},
		"compiler":            {"x.go:1: syntax error", new(*CommandError)},
	} {
		t.Run(name, func(t *testing.T) {
			m, cache := newMachine(t), t.TempDir()
			r := m.resolve(m.spec())
			m.write("go.fails", c.says)
			log := &progressLog{}
			_, _, err := Build(context.Background(), r, Options{CacheDir: cache, Sandbox: &fakeSandbox{}, Progress: log})
			if err == nil || !errors.As(err, c.want) {
				t.Fatalf("got %T: %v", err, err)
			}
			if !strings.Contains(err.Error(), strings.SplitN(c.says, "\n", 2)[0]) {
				t.Errorf("error does not say why: %v", err)
			}
			if left, _ := filepath.Glob(filepath.Join(cache, "steps", "build-*")); len(left) > 0 {
				t.Errorf("half-made steps: %v", left)
			}
			if left, _ := os.ReadDir(filepath.Join(cache, "tmp")); len(left) > 0 {
				t.Errorf("left in tmp: %v", left)
			}
			if log.failed == 0 {
				t.Error("progress was not told")
			}
		})
	}
}

func TestBuildOnAnUnfitHost(t *testing.T) {
	for name, change := range map[string]func(*Env){
		"no mmdebstrap": func(e *Env) { e.Mmdebstrap = "/nowhere/mmdebstrap" },
		"no keyring":    func(e *Env) { e.Keyring = "/nowhere/keyring.gpg" },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			change(&m.env)
			_, _, err := Build(context.Background(), m.resolve(m.spec()), Options{CacheDir: t.TempDir(), Sandbox: &fakeSandbox{}})
			var host *HostError
			if !errors.As(err, &host) || !strings.Contains(err.Error(), "install the package") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestBuildCancelled(t *testing.T) {
	m := newMachine(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, _, err := Build(ctx, m.resolve(m.spec()), Options{CacheDir: t.TempDir(), Sandbox: &fakeSandbox{}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// layerFiles lists a layer's files by diff ID; folders end in a slash.
func layerFiles(t *testing.T, img v1.Image, diffID string) []string {
	t.Helper()
	hash, err := v1.NewHash(diffID)
	if err != nil {
		t.Fatal(err)
	}
	layer, err := img.LayerByDiffID(hash)
	if err != nil {
		t.Fatal(err)
	}
	r, err := layer.Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var out []string
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeDir {
			out = append(out, h.Name)
		}
	}
}

// TestFoldersOfOneLayer: what the label says one layer makes up is in that
// layer, and in no other.
func TestFoldersOfOneLayer(t *testing.T) {
	m := newMachine(t)
	img, _, _, _ := m.build(m.spec(), t.TempDir())
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	var label map[string]string
	if err := json.Unmarshal([]byte(config.Config.Labels[nodespec.LabelLayers]), &label); err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{
		nodespec.StoreDir + "/containerd":    {"opt/kluster/store/containerd/io.containerd.metadata.v1.bolt/meta.db"},
		"/opt/kluster/programs/kubelet":      {"opt/kluster/programs/kubelet/kubelet", "usr/bin/kubelet"},
		"/opt/kluster/programs/kubeadm":      {"opt/kluster/programs/kubeadm/kubeadm", "usr/bin/kubeadm"},
		"/opt/kluster/programs/runc":         {"opt/kluster/programs/runc/runc", "usr/local/sbin/runc"},
		"/opt/kluster/programs/kluster-node": {"opt/kluster/programs/kluster-node/kluster-node", "usr/local/bin/kluster-node"},
		"/opt/kluster/programs/containerd": {
			"opt/kluster/programs/containerd/containerd", "usr/local/bin/containerd",
			"opt/kluster/programs/containerd/containerd-shim-runc-v2", "usr/local/bin/containerd-shim-runc-v2",
			"opt/kluster/programs/containerd/kluster-containerd", "usr/local/bin/kluster-containerd",
			"opt/kluster/programs/containerd/ctr", "usr/local/bin/ctr",
		},
	}
	got := map[string][]string{}
	for folder, diffID := range label {
		got[folder] = layerFiles(t, img, diffID)
		for _, other := range diffIDs(t, img) {
			if other == diffID {
				continue
			}
			for _, name := range layerFiles(t, img, other) {
				if strings.HasPrefix("/"+name, folder+"/") {
					t.Errorf("%s is in layer %s too", name, other)
				}
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
