package cluster

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kluster-project/kluster/internal/kubeconfig"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/status"
	"github.com/kluster-project/kluster/provider"
	"github.com/kluster-project/kluster/provider/providertest"
)

// lab is a fake engine on which creates come to their end, with one kubeconfig for all.
type lab struct {
	*providertest.Provider
	config string // the kubeconfig
	cache  string
}

// somebodys is a machine of the engine that is none of kluster's business.
const somebodys = "somebodys"

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{Provider: engine(t), config: filepath.Join(t.TempDir(), "config"), cache: t.TempDir()}
	l.Handle = func(_ context.Context, n provider.Node, cmd provider.Command) int {
		if slices.Equal(cmd.Args, []string{"kluster-node", "await", "bootstrap"}) {
			conf, err := kubeconfig.Render(kubeconfig.Entry{Name: "admin", Server: "https://" + n.Name})
			if err != nil || l.WriteFile(n.ID, AdminConf, conf) != nil {
				return 1
			}
		}
		return 0
	}
	if _, err := l.CreateNode(t.Context(), provider.NodeSpec{Name: somebodys, Image: testImage}); err != nil {
		t.Fatal(err)
	}
	return l
}

// manager gives a kluster of its own, as a process has one. p is what it takes for the
// engine.
func (l *lab) manager(t *testing.T, p provider.Provider) *Manager {
	t.Helper()
	m := New(p, Options{Reporter: status.Discard, CacheDir: l.cache})
	m.readyz = func(context.Context, *http.Client, string) error { return nil }
	api := applying(t, "")
	m.clients = func(conf []byte) (kubernetes.Interface, dynamic.Interface, error) {
		entry, err := kubeconfig.Parse(conf)
		if err != nil {
			return nil, nil, err
		}
		return l.api(entry.Name), api, nil
	}
	return m
}

// api is that of a cluster whose nodes are all Ready and say so from now on, and whose
// pods end well.
func (l *lab) api(kubeContext string) kubernetes.Interface {
	var nodes []runtime.Object
	all, _ := l.Nodes(context.Background(), nil) // none when the engine has died
	for _, n := range all {
		if ContextName(n.Labels[nodespec.LabelCluster]) == kubeContext {
			nodes = append(nodes, &corev1.Node{
				ObjectMeta: metav1.ObjectMeta{Name: n.Name},
				Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{
					Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: metav1.NewTime(time.Now().Add(time.Hour)),
				}}},
			})
		}
	}
	client := fake.NewClientset(nodes...)
	client.PrependReactor("create", "pods", func(a ktesting.Action) (bool, runtime.Object, error) {
		a.(ktesting.CreateAction).GetObject().(*corev1.Pod).Status.Phase = corev1.PodSucceeded
		return false, nil, nil
	})
	// A fake watch goes on when its context has ended.
	client.PrependWatchReactor("nodes", func(ktesting.Action) (bool, watch.Interface, error) {
		return true, nil, errors.New("ask again")
	})
	return client
}

// create is a create of a cluster of two nodes.
func (l *lab) create(t *testing.T, name string) CreateOptions {
	t.Helper()
	opt := wanted(t, name, 2)
	opt.Kubeconfig = l.config
	return opt
}

// machines are those of a cluster of two nodes.
func machines(name string) []string {
	return []string{name + "-control-plane-1", LoadBalancerName(name), name + "-worker-1"}
}

// checkWhole sees that a cluster is all there and of one create, its entry too.
func (l *lab) checkWhole(t *testing.T, name string) {
	t.Helper()
	nodes, err := l.Nodes(t.Context(), provider.Selector{nodespec.LabelCluster: name})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, n := range nodes {
		names = append(names, n.Name)
		if n.State != provider.StateRunning || n.Labels[nodespec.LabelCreation] != nodes[0].Labels[nodespec.LabelCreation] {
			t.Errorf("%s is %s, of create %s", n.Name, n.State, n.Labels[nodespec.LabelCreation])
		}
	}
	if !slices.Equal(names, machines(name)) {
		t.Fatalf("machines %v", names)
	}
	nets, err := l.Networks(t.Context(), provider.Selector{nodespec.LabelCluster: name})
	if err != nil || len(nets) != 1 {
		t.Errorf("networks %v, %v", nets, err)
	}
	conf, err := os.ReadFile(l.config)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := kubeconfig.CreationIn(conf, ContextName(name)), nodes[0].Labels[nodespec.LabelCreation]; got != want {
		t.Errorf("the kubeconfig's entry is of create %q, not %q", got, want)
	}
	l.checkTidy(t)
}

// checkGone sees that nothing of a cluster is left.
func (l *lab) checkGone(t *testing.T, name string) {
	t.Helper()
	if left := leftovers(t, l, name); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if got := l.entries(t); slices.Contains(got, ContextName(name)) {
		t.Errorf("contexts %v", got)
	}
	l.checkTidy(t)
}

// checkTidy sees that no file lies beside the kubeconfig, and that others are untouched.
func (l *lab) checkTidy(t *testing.T) {
	t.Helper()
	files, err := os.ReadDir(filepath.Dir(l.config))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Name() != filepath.Base(l.config) {
			t.Errorf("%s was left behind", f.Name())
		}
	}
	nodes, err := l.Nodes(t.Context(), nil)
	if err != nil || !slices.ContainsFunc(nodes, func(n provider.Node) bool { return n.Name == somebodys }) {
		t.Errorf("somebody's machine has gone: %v, %v", nodes, err)
	}
}

// entries are the names in the kubeconfig, which need not exist, each of a context, a
// cluster and a user.
func (l *lab) entries(t *testing.T) []string {
	t.Helper()
	c, err := clientcmd.LoadFromFile(l.config)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	names := slices.Sorted(maps.Keys(c.Contexts))
	if !slices.Equal(names, slices.Sorted(maps.Keys(c.Clusters))) || !slices.Equal(names, slices.Sorted(maps.Keys(c.AuthInfos))) {
		t.Errorf("half of an entry: %v, %d clusters, %d users", names, len(c.Clusters), len(c.AuthInfos))
	}
	return names
}
