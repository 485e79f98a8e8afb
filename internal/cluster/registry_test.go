package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
	"github.com/kluster-project/kluster/provider/providertest"
)

// fakeArchive is an archive of one file.
type fakeArchive struct{ digest string }

func (a fakeArchive) Digest() string { return a.digest }

func (a fakeArchive) WriteTo(w io.Writer) (int64, error) {
	stream, err := tarOf([]nodespec.File{{Path: "/index.json", Mode: 0o644, Data: []byte(a.digest)}}, time.Unix(0, 0))
	if err != nil {
		return 0, err
	}
	return io.Copy(w, stream)
}

// withRegistry is a running cluster "c", and its registry to be.
func withRegistry(t *testing.T, digest string) (*providertest.Provider, *registry) {
	t.Helper()
	p := engineWith(t, strings.TrimPrefix(registryFolder, "/")+"/none")
	p.Handle = func(context.Context, provider.Node, provider.Command) int { return 0 }
	net := provider.NetworkSpec{
		Name: "c", Labels: map[string]string{nodespec.LabelCluster: "c"}, Subnets: []netip.Prefix{netip.MustParsePrefix("172.28.0.0/24")},
	}
	if _, err := p.CreateNetwork(t.Context(), net); err != nil {
		t.Fatal(err)
	}
	running(t, p, "c")
	return p, registryOn(t, p, digest)
}

func registryOn(t *testing.T, p *providertest.Provider, digest string) *registry {
	t.Helper()
	m := manager(t, p)
	nodes, f, err := m.machinesOf(t.Context(), "c")
	if err != nil {
		t.Fatal(err)
	}
	f.Subnets = []netip.Prefix{netip.MustParsePrefix("172.28.0.0/24")}
	return &registry{m: m, cluster: "c", nodes: nodes, facts: f, images: fakeArchive{digest}}
}

func (r *registry) held(t *testing.T) []provider.Node {
	t.Helper()
	nodes, err := r.m.provider.Nodes(t.Context(), r.selector())
	if err != nil {
		t.Fatal(err)
	}
	return nodes
}

func TestRegistryIsMadeOnce(t *testing.T) {
	p, r := withRegistry(t, "sha256:1")
	if err := r.ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := r.held(t)
	if len(first) != 1 || first[0].Name != "c-registry" || first[0].State != provider.StateRunning {
		t.Fatalf("there is %+v", first)
	}
	if text, err := p.ReadFile("c-registry", registryFolder+"/index.json"); err != nil || string(text) != "sha256:1" {
		t.Errorf("it holds %q, %v", text, err)
	}
	if diff := cmp.Diff([]netip.Addr{netip.MustParseAddr("172.28.0.127")}, first[0].Addrs, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	if err := p.StopNode(t.Context(), first[0].ID, 0); err != nil {
		t.Fatal(err)
	}
	if err := r.ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again := r.held(t); len(again) != 1 || again[0].ID != first[0].ID || again[0].State != provider.StateRunning {
		t.Errorf("the same images again: %+v", again)
	}
	if err := registryOn(t, p, "sha256:2").ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if other := r.held(t); len(other) != 1 || other[0].ID == first[0].ID {
		t.Errorf("other images: %+v", other)
	}
}

func TestRegistryThatFailsLeavesNothing(t *testing.T) {
	for _, op := range []string{"CreateNode", "CopyTo", "StartNode", "Exec"} {
		t.Run(op, func(t *testing.T) {
			p, r := withRegistry(t, "sha256:1")
			broken := errors.New("broken")
			p.Fail = func(o, name string) error {
				if o == op && (name == "c-registry" || o == "Exec") {
					return broken
				}
				return nil
			}
			if op == "Exec" { // it never answers, since its program has ended
				p.Boot = func(provider.Node) string { return "no command \"registry\"" }
				p.Fail = func(o, name string) error {
					if o != "Exec" {
						return nil
					}
					if err := p.StopNode(t.Context(), "c-registry", 0); err != nil {
						t.Error(err)
					}
					return broken
				}
			}
			err := r.ensure(t.Context())
			if op == "Exec" {
				if err == nil || !strings.Contains(err.Error(), "its program ended") || !strings.Contains(err.Error(), `no command "registry"`) {
					t.Errorf("err = %v", err)
				}
			} else if !errors.Is(err, broken) {
				t.Errorf("err = %v", err)
			}
			if left := r.held(t); len(left) > 0 {
				t.Errorf("left: %+v", left)
			}
		})
	}
}

func TestRegistryOfANameInUse(t *testing.T) {
	p, r := withRegistry(t, "sha256:1")
	if _, err := p.CreateNode(t.Context(), provider.NodeSpec{Name: "c-registry", Image: testImage}); err != nil {
		t.Fatal(err)
	}
	if err := r.ensure(t.Context()); !errors.Is(err, provider.ErrNameTaken) {
		t.Errorf("err = %v", err)
	}
	if nodes, err := p.Nodes(t.Context(), nil); err != nil || len(nodes) != 4 {
		t.Errorf("nodes %+v, %v", nodes, err)
	}
}

func TestRegistryThatIsInterrupted(t *testing.T) {
	p, r := withRegistry(t, "sha256:1")
	ctx, cancel := context.WithCancelCause(t.Context())
	interrupted := errors.New("interrupted")
	p.Handle = func(context.Context, provider.Node, provider.Command) int {
		cancel(interrupted)
		return 7
	}
	if err := r.ensure(ctx); !errors.Is(err, interrupted) {
		t.Errorf("err = %v", err)
	}
	if left := r.held(t); len(left) > 0 {
		t.Errorf("left: %+v", left)
	}
}

func TestNodesAskTheRegistry(t *testing.T) {
	p, r := withRegistry(t, "sha256:1")
	const file = nodespec.MirrorsDir + "/10-cluster.json"
	told := map[string]string{}
	var mu sync.Mutex
	p.Handle = func(_ context.Context, n provider.Node, c provider.Command) int {
		mu.Lock()
		defer mu.Unlock()
		told[n.Name] = strings.Join(c.Args, " ")
		return 0
	}
	if err := r.mirror(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, node := range []string{"c-control-plane-1", "c-worker-1"} {
		text, err := p.ReadFile(node, file)
		var list []nodespec.Mirror
		if err := errors.Join(err, json.Unmarshal(text, &list)); err != nil {
			t.Fatal(err)
		}
		want := []nodespec.Mirror{{Of: "registry.k8s.io", Endpoints: []string{"http://172.28.0.127:5000"}}}
		if diff := cmp.Diff(want, list); diff != "" {
			t.Errorf("%s: %s", node, diff)
		}
		if told[node] != nodespec.NodeBinary+" mirrors" {
			t.Errorf("%s ran %q", node, told[node])
		}
	}
	if _, err := p.ReadFile("c-lb", file); err == nil || told["c-lb"] != "" {
		t.Error("the load balancer was told")
	}
}

// TestMirrorsOfAStoppedNode: its boot will tell its runtime.
func TestMirrorsOfAStoppedNode(t *testing.T) {
	p, r := withRegistry(t, "sha256:1")
	p.Handle = func(_ context.Context, n provider.Node, _ provider.Command) int {
		t.Errorf("a command ran in %s", n.Name)
		return 1
	}
	worker := r.nodes[slices.IndexFunc(r.nodes, func(n provider.Node) bool { return n.Name == "c-worker-1" })]
	worker.State = provider.StateStopped
	if err := r.m.setMirrors(t.Context(), []provider.Node{worker}, nodespec.MirrorsOfUser, nil); err != nil {
		t.Fatal(err)
	}
	if text, err := p.ReadFile("c-worker-1", nodespec.MirrorsDir+"/20-user.json"); err != nil || string(text) != "[]\n" {
		t.Errorf("%q, %v", text, err)
	}
}

func TestRegistryAddresses(t *testing.T) {
	r := &registry{cluster: "c"}
	for _, tc := range []struct {
		subnets, node, url string
	}{
		{"172.28.0.0/24", "172.28.0.2", "http://172.28.0.127:5000"},
		{"fd00:1::/64,172.28.0.0/24", "fd00:1::2", "http://[fd00:1::ffff:feff]:5000"},
		{"172.28.0.0/29", "172.28.0.3", "http://c-registry:5000"},
	} {
		r.facts.Subnets, r.nodes = nil, []provider.Node{{Addrs: []netip.Addr{netip.MustParseAddr(tc.node)}}}
		for _, s := range strings.Split(tc.subnets, ",") {
			r.facts.Subnets = append(r.facts.Subnets, netip.MustParsePrefix(s))
		}
		if got := r.url(); got != tc.url {
			t.Errorf("%s: got %s, want %s", tc.subnets, got, tc.url)
		}
	}
}

// TestVerbsDoNotSeeTheRegistry: it is no machine of the cluster, but goes with it.
func TestVerbsDoNotSeeTheRegistry(t *testing.T) {
	p, r := withRegistry(t, "sha256:1")
	if err := r.ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	nodes, err := r.m.Nodes(t.Context(), "c")
	if err != nil || slices.ContainsFunc(nodes, func(n NodeInfo) bool { return n.Name == "c-registry" }) {
		t.Errorf("nodes %+v, %v", nodes, err)
	}
	infos, err := r.m.List(t.Context())
	if err != nil || len(infos) != 1 || len(infos[0].Nodes) != 3 {
		t.Errorf("clusters %+v, %v", infos, err)
	}
	l := newLoads(t, p)
	if err := r.m.Load(t.Context(), LoadOptions{Cluster: "c", Archive: l.archive(t, l.image(t, "a:1", 1))}); err != nil {
		t.Error(err)
	}
	loaded := l.nodes()
	if diff := cmp.Diff([]string{"c-control-plane-1", "c-worker-1"}, loaded); diff != "" {
		t.Errorf("an archive was loaded into (-want +got):\n%s", diff)
	}
	_, err = r.m.Create(t.Context(), wanted(t, "c", 1))
	if err == nil || !strings.Contains(err.Error(), `"c"`) {
		t.Errorf("a second cluster of that name: %v", err)
	}
	if existed, err := r.m.Delete(t.Context(), "c", t.TempDir()+"/config"); !existed || err != nil {
		t.Errorf("delete: %v, %v", existed, err)
	}
	if left := leftovers(t, p, "c"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestEnsureRegistryOfNoCluster(t *testing.T) {
	err := manager(t, engine(t)).ensureRegistry(t.Context(), "none")
	var missing *NotFoundError
	if !errors.As(err, &missing) {
		t.Errorf("err = %v", err)
	}
}
