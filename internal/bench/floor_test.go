package bench

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// extracted is what the script leaves, with programs that are shell scripts.
func extracted(t *testing.T) map[string]string {
	t.Helper()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	pod := func(command string) string {
		return "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - command: " + command + "\n"
	}
	return map[string]string{
		"etcd": "#!/bin/sh\n", "kube-apiserver": "#!/bin/sh\n", "kubeadm.yaml": "kind: InitConfiguration\n",
		"pki/ca.crt": pemOf(server),
		"manifests/etcd.yaml": pod(
			"[etcd, --listen-client-urls=https://127.0.0.1:2379,https://192.0.2.1:2379, --listen-peer-urls=https://192.0.2.1:2380, --listen-metrics-urls=http://127.0.0.1:2381]"),
		"manifests/kube-apiserver.yaml": pod(
			"[kube-apiserver, --advertise-address=192.0.2.1, --etcd-servers=https://127.0.0.1:2379, --secure-port=1]"),
	}
}

func TestNewFloor(t *testing.T) {
	e, dir := newFakeEngine(), t.TempDir()
	e.extract = extracted(t)
	f, err := newFloor(t.Context(), e, "image", "v1.36.3", dir)
	if err != nil {
		t.Fatal(err)
	}
	if f.etcd[0] != filepath.Join(dir, "etcd") || f.apiserver[0] != filepath.Join(dir, "kube-apiserver") {
		t.Errorf("programs: %s, %s", f.etcd[0], f.apiserver[0])
	}
	for _, args := range [][]string{f.etcd, f.apiserver} {
		for _, a := range args[1:] {
			for _, port := range etcdPorts {
				if strings.Contains(a, ":"+port) {
					t.Errorf("%s is on kubeadm's own port", a)
				}
			}
			if a := strings.ReplaceAll(a, "--advertise-address="+floorAddress, ""); strings.Contains(a, floorAddress) {
				t.Errorf("%s wants an address that nobody has", a)
			}
		}
	}
	// The API server asks where etcd listens.
	_, servers, _ := strings.Cut(f.apiserver[2], "=")
	if !strings.Contains(f.etcd[1], servers) || servers != "https://"+f.etcdAddress {
		t.Errorf("etcd listens at %s, is asked at %s and waited for at %s", f.etcd[1], servers, f.etcdAddress)
	}
	for _, want := range []string{"kubernetesVersion: v1.36.3", "certificatesDir: " + dir + "/pki", "dataDir: " + f.data, "bind-address, value: 127.0.0.1"} {
		if !strings.Contains(e.scripts[0], want) {
			t.Errorf("the script has no %q:\n%s", want, e.scripts[0])
		}
	}
}

func TestNewFloorSaysWhatIsMissing(t *testing.T) {
	for _, name := range []string{"etcd", "kube-apiserver", "pki/ca.crt", "manifests/etcd.yaml", "manifests/kube-apiserver.yaml"} {
		e := newFakeEngine()
		e.extract = extracted(t)
		delete(e.extract, name)
		if _, err := newFloor(t.Context(), e, "image", "v1.36.3", t.TempDir()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

// TestUnpackStaysInside sees that no name of an archive leads out of the folder.
func TestUnpackStaysInside(t *testing.T) {
	e, dir := newFakeEngine(), t.TempDir()
	e.extract = map[string]string{"../../out": "x", "in/side": "y"}
	if err := e.Extract(t.Context(), "", "", floorFolder, unpackTo(filepath.Join(dir, "a"))); err != nil {
		t.Fatal(err)
	}
	var found []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			found = append(found, strings.TrimPrefix(path, dir))
		}
		return err
	})
	if diff := cmp.Diff([]string{"/a/in/side"}, found); err != nil || diff != "" {
		t.Errorf("%v; -want +got:\n%s", err, diff)
	}
}

// sleeper is a process that does not end by itself.
func sleeper() []string { return []string{"/bin/sleep", "3600"} }

// TestFloorWaitsForReadyz sees that an answer is not enough, and that nothing is
// left: no process and no data.
func TestFloorWaitsForReadyz(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) < 4 {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	defer server.Close()
	data := filepath.Join(t.TempDir(), "data")
	if err := os.MkdirAll(filepath.Join(data, "of the last run"), 0o700); err != nil {
		t.Fatal(err)
	}
	f := &floor{
		etcd: sleeper(), apiserver: sleeper(), data: data,
		etcdAddress: server.Listener.Addr().String(), url: server.URL, client: server.Client(),
	}
	s := f.measure(t.Context(), 3)
	if s.Error != "" || s.Round != 3 {
		t.Fatalf("got %+v", s)
	}
	if asked.Load() != 4 || s.ReadySeconds < 3*floorEvery.Seconds() {
		t.Errorf("ready after %g s and %d questions", s.ReadySeconds, asked.Load())
	}
	if left, err := os.ReadDir(data); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestFloorFailures(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	l.Close()
	broken := func(etcd []string) *floor {
		return &floor{
			etcd: etcd, apiserver: sleeper(), data: filepath.Join(t.TempDir(), "data"),
			etcdAddress: nobody, url: "http://" + nobody, client: http.DefaultClient,
		}
	}
	for name, test := range map[string]struct {
		etcd []string
		want string
	}{
		"ends by itself": {[]string{"/bin/sh", "-c", "echo no disk >&2; exit 3"}, "exit status 3): no disk"},
		"not there":      {[]string{"/nonexistent/etcd"}, "starting the floor"},
	} {
		t.Run(name, func(t *testing.T) {
			if s := broken(test.etcd).measure(t.Context(), 1); !strings.Contains(s.Error, test.want) || s.ReadySeconds != 0 {
				t.Errorf("got %+v, want an error with %q", s, test.want)
			}
		})
	}
}

// TestFloorInterrupted sees that an interruption while the floor starts ends it.
func TestFloorInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		cancel(errors.New("enough"))
		w.WriteHeader(http.StatusForbidden)
	}))
	defer server.Close()
	f := &floor{
		etcd: sleeper(), apiserver: sleeper(), data: filepath.Join(t.TempDir(), "data"),
		etcdAddress: server.Listener.Addr().String(), url: server.URL, client: server.Client(),
	}
	if s := f.measure(ctx, 1); !strings.Contains(s.Error, "enough") || s.ReadySeconds != 0 {
		t.Errorf("got %+v", s)
	}
}
