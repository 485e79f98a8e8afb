package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/internal/cluster"
	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/status"
	"github.com/kluster-project/kluster/provider"
)

// specs is a package with one spec that passes and one that fails.
const specs = "./testdata/specs"

// fakeClusters are clusters whose API is a server that knows one node.
type fakeClusters struct {
	Clusters
	api     string
	ca      []byte           // PEM
	refuse  map[string]error // by name
	created []string
	deleted []string
}

func (f *fakeClusters) Create(_ context.Context, opt cluster.CreateOptions) (*cluster.Summary, error) {
	f.created = append(f.created, opt.Config.Name)
	return &cluster.Summary{Name: opt.Config.Name}, f.refuse[opt.Config.Name]
}

func (f *fakeClusters) Delete(_ context.Context, name, _ string) (bool, error) {
	f.deleted = append(f.deleted, name)
	return true, nil
}

func (f *fakeClusters) Kubeconfig(_ context.Context, name string, _ bool) ([]byte, error) {
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: %q, certificate-authority-data: %q}}]
contexts: [{name: c, context: {cluster: c}}]
current-context: c
`, f.api, base64.StdEncoding.EncodeToString(f.ca)), nil
}

func (f *fakeClusters) Exec(context.Context, string, string, provider.Command) error {
	return errors.New("no programs in this node")
}

// api is as much of an API as a run of somebody's own specs needs.
func api(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/readyz":
	case r.URL.Path == "/version":
		_ = json.NewEncoder(w).Encode(map[string]string{"gitVersion": "v1.36.3"})
	case r.URL.Path == "/api/v1/nodes" && r.URL.Query().Get("watch") != "":
		<-r.Context().Done()
	case r.URL.Path == "/api/v1/nodes":
		w.Header().Set("Content-Type", "application/json")
		node := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "c-worker-1"}}
		node.Status.NodeInfo.ContainerRuntimeVersion = "containerd://2.4.2"
		node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
		_ = json.NewEncoder(w).Encode(corev1.NodeList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "NodeList"}, Items: []corev1.Node{node}})
	default:
		http.NotFound(w, r)
	}
}

func newRunner(t *testing.T) (*Runner, *fakeClusters) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(api))
	t.Cleanup(server.Close)
	clusters := &fakeClusters{api: server.URL}
	return &Runner{Clusters: clusters, Reporter: status.Discard, CacheDir: t.TempDir()}, clusters
}

func toCreate(names ...string) Target {
	var target Target
	for _, name := range names {
		worker := config.Node{Role: nodespec.RoleWorker, Runtime: "containerd"}
		target.Create = append(target.Create, &config.Cluster{
			Name: name, KubernetesVersion: "v1.36.3", Runtime: "containerd", Nodes: []config.Node{worker, worker},
		})
	}
	return target
}

func TestARunOnAClusterMadeForIt(t *testing.T) {
	t.Setenv("WANT_CLUSTER", "c")
	r, clusters := newRunner(t)
	dir := filepath.Join(t.TempDir(), "report")
	got, err := r.Run(t.Context(), Options{Suite: specs, Dir: dir, Target: toCreate("c")})
	if err != nil {
		t.Fatal(err)
	}
	if s := got.Summarize(); s.Passed != 1 || s.Failed != 1 || s.Verdict != report.VerdictFailed {
		t.Errorf("summary %+v", s)
	}
	if !slices.Equal(clusters.created, []string{"c"}) || !slices.Equal(clusters.deleted, []string{"c"}) {
		t.Errorf("created %v, deleted %v", clusters.created, clusters.deleted)
	}
	if len(got.Clusters) != 1 || len(got.Clusters[0].Nodes) != 1 {
		t.Errorf("clusters %+v", got.Clusters)
	}
	for _, name := range []string{report.FileName, JUnitFile, HTMLFile, MarkdownFile} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOnlyWhatWasMadeIsRemoved: a cluster of that name may be somebody else's, and
// a create that fails removes its own.
func TestOnlyWhatWasMadeIsRemoved(t *testing.T) {
	r, clusters := newRunner(t)
	clusters.refuse = map[string]error{"b": errors.New("it exists")}
	dir := filepath.Join(t.TempDir(), "report")
	got, err := r.Run(t.Context(), Options{Suite: specs, Dir: dir, Target: toCreate("a", "b", "c")})
	if got != nil || !errors.Is(err, clusters.refuse["b"]) {
		t.Errorf("report %v, err %v", got, err)
	}
	if !slices.Equal(clusters.created, []string{"a", "b"}) || !slices.Equal(clusters.deleted, []string{"a"}) {
		t.Errorf("created %v, deleted %v", clusters.created, clusters.deleted)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder of a report that never was: %v", err)
	}
}

func TestAReportIsNotWrittenOver(t *testing.T) {
	r, clusters := newRunner(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, report.FileName), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := r.Run(t.Context(), Options{Suite: specs, Dir: dir, Target: toCreate("c")})
	if failure.Code(err) != failure.CodeUsage || !strings.Contains(err.Error(), "another run") || len(clusters.created) > 0 {
		t.Errorf("err %v, created %v", err, clusters.created)
	}
}

func TestKlustersOwnSuiteTakesNoCluster(t *testing.T) {
	r, _ := newRunner(t)
	_, err := r.Run(t.Context(), Options{Suite: "kluster", Dir: t.TempDir(), Target: Target{Cluster: "c"}})
	if failure.Code(err) != failure.CodeUsage || !strings.Contains(err.Error(), "makes its clusters itself") {
		t.Errorf("err %v", err)
	}
	_, err = r.Plan(t.Context(), Options{Suite: "kluster"})
	if failure.Code(err) != failure.CodeUsage || !strings.Contains(strings.Join(failure.Hints(err), " "), "checkout of kluster") {
		t.Errorf("outside of a checkout: %v", err)
	}
}

func TestAPlanTouchesNothing(t *testing.T) {
	r, clusters := newRunner(t)
	got, err := r.Plan(t.Context(), Options{Suite: specs, Filter: report.Filter{Focus: []string{"names"}}, Target: toCreate("c")})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Specs) != 1 || !strings.HasSuffix(got.Specs[0].Name, "names the cluster") {
		t.Errorf("specs %+v", got.Specs)
	}
	if len(clusters.created) > 0 {
		t.Errorf("created %v", clusters.created)
	}
}

func TestNothingIsMadeForAFilterThatFitsNothing(t *testing.T) {
	r, clusters := newRunner(t)
	got, err := r.Run(t.Context(), Options{Suite: specs, Dir: t.TempDir(), Filter: report.Filter{Focus: []string{"nowhere"}}, Target: toCreate("c")})
	if got != nil || failure.Code(err) != failure.CodeUsage {
		t.Errorf("report %v, err %v", got, err)
	}
	if len(clusters.created) > 0 {
		t.Errorf("created %v", clusters.created)
	}
}

func TestOnlyConformanceIsCertified(t *testing.T) {
	r, _ := newRunner(t)
	for name, opt := range map[string]Options{
		"another suite": {Suite: "smoke"},
		"a focus":       {Suite: "conformance", Filter: report.Filter{Focus: []string{"Pods"}}},
		"reruns":        {Suite: "conformance", RerunFailed: 1},
		"two clusters":  {Suite: "conformance", Target: toCreate("a", "b")},
	} {
		opt.Certification, opt.Dir = &Certification{}, filepath.Join(t.TempDir(), "report")
		if _, err := r.Run(t.Context(), opt); failure.Code(err) != failure.CodeUsage {
			t.Errorf("%s: err %v", name, err)
		}
	}
}

func TestAgain(t *testing.T) {
	r := &run{opt: Options{Command: []string{"kluster", "e2e", "run"}}}
	want := []string{"kluster", "e2e", "run", "--focus", `\[sig-node\] Pods should run$`}
	if got := r.again("[sig-node] Pods should run"); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestLogUnitsAreThoseOfTheRuntimes(t *testing.T) {
	c := report.Cluster{Nodes: []report.Node{{Runtime: "containerd://2.4.2"}, {Runtime: "containerd://2.4.2"}, {Runtime: "docker://28.5.2"}, {Runtime: "other://1"}}}
	if got := logUnits(c); !slices.Equal(got, []string{"kubelet.service", "containerd.service", "kluster-mirrors.service", "docker.service", "cri-docker.service"}) {
		t.Errorf("%q", got)
	}
}
