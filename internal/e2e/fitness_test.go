package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kluster-project/kluster/e2e/certify"
	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/internal/failure"
)

// unfit is an API of some version, with these nodes.
func unfit(version string, nodes ...corev1.Node) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/version":
			_ = json.NewEncoder(w).Encode(map[string]string{"gitVersion": version})
		case "/api/v1/nodes":
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(corev1.NodeList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "NodeList"}, Items: nodes})
		default:
			api(w, r)
		}
	}
}

func worker(name string, images ...corev1.ContainerImage) corev1.Node {
	n := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	n.Status.Images = images
	return n
}

func cordoned(n corev1.Node) corev1.Node {
	n.Spec.Unschedulable = true
	return n
}

// standIn is an image that never came from a registry, and pulled one that did.
var (
	standIn = corev1.ContainerImage{Names: []string{"registry.k8s.io/e2e-test-images/agnhost:2.63.0"}}
	pulled  = corev1.ContainerImage{Names: []string{
		"registry.k8s.io/pause@" + certify.Published("registry.k8s.io/pause:3.10.2"), "registry.k8s.io/pause:3.10.2",
	}}
)

// TestTheUnfitIsRefusedFirst: nothing is built or brought anywhere for a cluster, or
// to a folder, that is not fit.
func TestTheUnfitIsRefusedFirst(t *testing.T) {
	two := []corev1.Node{worker("a"), worker("b")}
	for name, test := range map[string]struct {
		api        http.HandlerFunc
		kubeconfig bool // not a cluster of kluster's own
		certified  bool
		dir        string
		code       int
		want       string
	}{
		"one schedulable node": {
			api: unfit("v1.36.3", worker("a"), cordoned(worker("b"))), code: failure.CodeHost,
			want: "needs 2 nodes that any pod may run on, and the cluster has 1: b is cordoned",
		},
		"the same of somebody else": {
			api: unfit("v1.36.3+k3s1", worker("a"), cordoned(worker("b"))), kubeconfig: true, code: failure.CodeHost,
			want: "and the cluster has 1: b is cordoned",
		},
		"another version": {
			api: unfit("v1.20.0", two...), kubeconfig: true, code: failure.CodeHost,
			want: "kubeconfig is of Kubernetes v1.20.0, of which there are no specs here",
		},
		"no API": {
			api: func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "gone", http.StatusBadGateway) }, code: failure.CodeHost,
			want: "asking cluster c for its version",
		},
		"a folder that cannot be written": {
			api: unfit("v1.36.3", two...), dir: "/proc/report", code: failure.CodeUsage,
			want: "folder of the report: mkdir /proc/report",
		},
		"certified on kluster's own": {
			api: unfit("v1.36.3", two...), certified: true, code: failure.CodeUsage,
			want: "no certification with stand-ins for upstream's parts: registry.k8s.io/",
		},
		"certified with stand-ins": {
			api: unfit("v1.36.3", worker("a", pulled), worker("b", standIn)), kubeconfig: true, certified: true, code: failure.CodeUsage,
			want: "no certification with stand-ins for upstream's parts: registry.k8s.io/e2e-test-images/agnhost:2.63.0 (nodes have it without the digest sha256:",
		},
		"certified in a version of which digests are not known": {
			api: unfit("v1.35.4", two...), kubeconfig: true, certified: true, code: failure.CodeUsage,
			want: "upstream's digests are not known here of registry.k8s.io/etcd:3.6.6-0",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, clusters := newRunner(t)
			server := httptest.NewServer(test.api)
			defer server.Close()
			clusters.api = server.URL
			opt := Options{Suite: "conformance", Dir: filepath.Join(t.TempDir(), "report"), Target: Target{Cluster: "c"}}
			if test.kubeconfig {
				text, err := clusters.Kubeconfig(t.Context(), "c", false)
				if err != nil {
					t.Fatal(err)
				}
				opt.Target = Target{Kubeconfig: filepath.Join(t.TempDir(), "kubeconfig")}
				if err := os.WriteFile(opt.Kubeconfig, text, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if test.certified {
				opt.Certification = &Certification{}
			}
			if test.dir != "" {
				opt.Dir = test.dir
			}
			got, err := r.Run(t.Context(), opt)
			if got != nil || err == nil || failure.Code(err) != test.code || !strings.Contains(err.Error(), test.want) {
				t.Errorf("report %v, exit code %d, want %d; err %v, want %s", got, failure.Code(err), test.code, err, test.want)
			}
			if len(failure.Hints(err)) == 0 {
				t.Errorf("%v has no hint", err)
			}
			if made, err := os.ReadDir(r.CacheDir); err != nil || len(made) > 0 {
				t.Errorf("in the cache: %v, %v", made, err)
			}
			if exists(opt.Dir) {
				t.Errorf("%s is there", opt.Dir)
			}
		})
	}
}

func TestSuiteVersion(t *testing.T) {
	r := &run{}
	for server, want := range map[string]string{
		"v1.36.3": "v1.36.3", "v1.36.3+k3s1": "v1.36.3", "v1.36.1-eks-1": "v1.36.3", "v1.35.9": "v1.35.4", "v1.37.0-alpha.1": "", "odd": "",
	} {
		got, err := r.suiteVersion(&target{name: "c"}, server)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", server, got, err)
		}
	}
}

func TestListedPart(t *testing.T) {
	const ref, own = "registry.k8s.io/pause:3.10.2", "registry.k8s.io/pause@"
	published := certify.Published(ref)
	differs := "nodes have it without the digest " + published + ", under which upstream published it"
	for name, test := range map[string]struct {
		names []string
		want  report.Part
	}{
		"pulled":               {[]string{own + published, ref}, report.Part{Name: ref, Digest: published}},
		"pulled from a mirror": {[]string{"other@sha256:1", "mirror/pause@" + published, ref}, report.Part{Name: ref, Digest: published}},
		"another one":          {[]string{own + "sha256:1", ref}, report.Part{Name: ref, Digest: "sha256:1", StandIn: differs}},
		"brought":              {[]string{ref}, report.Part{Name: ref, StandIn: differs}},
	} {
		if got := listedPart(ref, test.names); got != test.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got, want := listedPart("not/known:1", []string{"not/known@sha256:1"}), (report.Part{Name: "not/known:1", Digest: "sha256:1"}); got != want {
		t.Errorf("not known: %+v", got)
	}
}

// TestEachImageMustBeProven: what no node lists may be anything.
func TestEachImageMustBeProven(t *testing.T) {
	r := &run{version: "v1.36.3", opt: Options{Certification: &Certification{}}}
	for _, ref := range []string{"registry.k8s.io/pause:3.10.2", "registry.k8s.io/etcd:3.6.8-0"} {
		r.notePart(report.Part{Name: ref, Digest: certify.Published(ref)})
	}
	if err := r.unproven(); err == nil || strings.Contains(err.Error(), "pause") || !strings.Contains(err.Error(), "agnhost:2.63.0, ") {
		t.Errorf("err %v", err)
	}
}
