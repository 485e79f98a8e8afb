package registries

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/status"
	"github.com/kluster-project/kluster/provider"
	"github.com/kluster-project/kluster/provider/providertest"
)

const image = nodespec.ImageRepository + ":test"

func imageOf(context.Context) (string, error) { return image, nil }

// engine holds a node image, and in its nodes every command goes well.
func engine(t *testing.T) *providertest.Provider {
	t.Helper()
	p := providertest.New()
	p.Handle = func(context.Context, provider.Node, provider.Command) int { return 0 }
	img, err := providertest.Image([]byte("node"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.LoadImage(t.Context(), image, img, nil); err != nil {
		t.Fatal(err)
	}
	return p
}

// notes keeps what is told besides the steps.
type notes struct {
	status.Reporter
	said []string
}

func (n *notes) Note(format string, args ...any) {
	n.said = append(n.said, fmt.Sprintf(format, args...))
}

func manager(p provider.Provider) (*Manager, *notes) {
	n := &notes{Reporter: status.Discard}
	return New(p, n), n
}

func TestSpecs(t *testing.T) {
	for _, test := range []struct {
		spec                          Spec
		name, address, endpoint, asks string
	}{
		{Local(0), "kluster-registry", "localhost:5001", "http://registry.kluster.internal:5000", ""},
		{Local(5005), "kluster-registry", "localhost:5005", "http://registry.kluster.internal:5000", ""},
		{Cache("docker.io", ""), "kluster-cache-docker.io", "", "http://docker.io.cache.kluster.internal:5000", "https://registry-1.docker.io"},
		{Cache("r.example:5000", ""), "kluster-cache-r.example-5000", "", "http://r.example-5000.cache.kluster.internal:5000", "https://r.example:5000"},
		{Cache("r.example", "http://10.0.0.1"), "kluster-cache-r.example", "", "http://r.example.cache.kluster.internal:5000", "http://10.0.0.1"},
	} {
		got := []string{test.spec.Name(), test.spec.Address(), test.spec.Endpoint(), test.spec.URL}
		if diff := cmp.Diff([]string{test.name, test.address, test.endpoint, test.asks}, got); diff != "" {
			t.Errorf("%s: %s", test.spec, diff)
		}
	}
}

// TestEnsure makes both kinds, once.
func TestEnsure(t *testing.T) {
	p := engine(t)
	p.HostInfo.ProxyEnv = map[string]string{"HTTPS_PROXY": "http://proxy.example"}
	m, _ := manager(p)
	asked := 0
	for _, s := range []Spec{Local(5001), Cache("docker.io", ""), Local(5001), Cache("docker.io", "")} {
		err := m.Ensure(t.Context(), s, func(context.Context) (string, error) { asked++; return image, nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	if asked != 2 {
		t.Errorf("asked %d times for an image, want 2", asked)
	}
	infos, err := m.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []Info{
		{Name: "kluster-cache-docker.io", Kind: "cache", Upstream: "docker.io", URL: "https://registry-1.docker.io", Endpoint: Cache("docker.io", "").Endpoint(), State: "running", Clusters: []string{}, Image: image, Spec: Cache("docker.io", "")},
		{Name: "kluster-registry", Kind: "registry", Address: "localhost:5001", Endpoint: Local(0).Endpoint(), State: "running", Clusters: []string{}, Image: image, Spec: Local(0)},
	}
	if diff := cmp.Diff(want, infos); diff != "" {
		t.Error(diff)
	}
	nodes, err := p.Nodes(t.Context(), provider.Selector{Label: ""})
	if err != nil {
		t.Fatal(err)
	}
	if ports := nodes[1].Ports; len(ports) != 1 || !ports[0].HostAddr.IsLoopback() || ports[0].HostPort != 5001 || len(nodes[0].Ports) != 0 {
		t.Errorf("ports of the registry are %v, of the cache %v", ports, nodes[0].Ports)
	}
	for _, n := range nodes {
		if _, ok := n.Labels[nodespec.LabelCluster]; ok {
			t.Errorf("%s would go with a cluster", n.Name)
		}
	}
}

// config reads what a registry is told.
func config(t *testing.T, p provider.Provider, name string) tree {
	t.Helper()
	var c tree
	if err := yaml.Unmarshal(read(t, p, name, configFile), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func read(t *testing.T, p provider.Provider, name, path string) []byte {
	t.Helper()
	r, err := p.CopyFrom(t.Context(), name, path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	tr := tar.NewReader(r)
	h, err := tr.Next()
	if err != nil {
		t.Fatal(err)
	}
	if h.Mode&0o077 != 0 {
		t.Errorf("%s has mode %o: others may read it", path, h.Mode)
	}
	text, err := io.ReadAll(tr)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestCredentials sees that a cache has the user's in one file alone, and newer ones
// when it is asked for again.
func TestCredentials(t *testing.T) {
	p := engine(t)
	m, n := manager(p)
	s := Cache("r.example", "")
	for _, c := range []provider.Credentials{{Username: "me", Password: "old-secret"}, {Username: "me", Password: "new-secret"}, {}, {Username: "me", IdentityToken: "token-secret"}} {
		p.Auth = map[string]provider.Credentials{"r.example": c}
		if err := m.Ensure(t.Context(), s, imageOf); err != nil {
			t.Fatal(err)
		}
		var got struct{ ServerURL, Username, Secret string }
		if err := json.Unmarshal(read(t, p, s.Name(), credentialsFile), &got); err != nil {
			t.Fatal(err)
		}
		user := c.Username
		if c.IdentityToken != "" {
			user = ""
		}
		if got.Username != user || got.Secret != c.Password {
			t.Errorf("the cache has %+v, the user %+v", got, c)
		}
		for _, other := range [][]byte{read(t, p, s.Name(), configFile), read(t, p, s.Name(), helperFile), []byte(strings.Join(n.said, "\n")), []byte(fmt.Sprint(p.Calls()))} {
			if bytes.Contains(other, []byte("secret")) {
				t.Errorf("a secret is told: %s", other)
			}
		}
	}
	if len(n.said) != 1 || !strings.Contains(n.said[0], "identity token") {
		t.Errorf("said %q", n.said)
	}
	proxy, _ := config(t, p, s.Name())["proxy"].(tree)
	if proxy["ttl"] != "0s" || proxy["username"] != nil || proxy["exec"] == nil || proxy["remoteurl"] != "https://r.example" {
		t.Errorf("proxy is %v", proxy)
	}
	if err := m.Ensure(t.Context(), Local(0), imageOf); err != nil {
		t.Fatal(err)
	}
	if c := config(t, p, LocalName); c["proxy"] != nil {
		t.Errorf("the local registry is %v", c)
	}
}

// TestCredentialsOfURL: what answers at a URL of the user's is not the registry itself.
func TestCredentialsOfURL(t *testing.T) {
	p := engine(t)
	p.Auth = map[string]provider.Credentials{
		"r.example": {Username: "me", Password: "of-registry"}, "10.0.0.7:5000": {Username: "me", Password: "of-url"}, "docker.io": {Username: "me", Password: "of-hub"},
	}
	m, _ := manager(p)
	for want, s := range map[string]Spec{
		"of-registry": Cache("r.example", ""), "of-url": Cache("r.example", "http://10.0.0.7:5000"), "of-hub": Cache("docker.io", ""),
		"": Cache("docker.io", "http://mirror.example"),
	} {
		text, err := m.credentials(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		var got struct{ Secret string }
		if err := json.Unmarshal(text, &got); err != nil || got.Secret != want {
			t.Errorf("%s is asked with the password %q, want %q (%v)", s, got.Secret, want, err)
		}
	}
}

// TestEnsureInterrupted: whoever is interrupted removes what it makes, unless it runs;
// and who finds it going makes it anew.
func TestEnsureInterrupted(t *testing.T) {
	for _, test := range []struct {
		at   string // what is interrupted
		left bool
	}{
		{"CopyTo", false},
		{"Exec", true},
	} {
		t.Run(test.at, func(t *testing.T) {
			p := engine(t)
			m, _ := manager(p)
			ctx, interrupt := context.WithCancel(t.Context())
			p.Fail = func(op, _ string) error {
				if op == test.at {
					interrupt()
				}
				return nil
			}
			if err := m.Ensure(ctx, Local(0), imageOf); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			nodes, err := p.Nodes(t.Context(), nil)
			if err != nil || len(nodes) > 0 != test.left {
				t.Errorf("left are %v, %v", nodes, err)
			}
		})
	}
}

func TestEnsureOfAnother(t *testing.T) {
	p := engine(t)
	m, _ := manager(p)
	made := func() {
		t.Helper()
		spec, err := m.machine(t.Context(), Local(0), image)
		if err == nil {
			_, err = p.CreateNode(t.Context(), spec)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	once := true
	p.Fail = func(op, _ string) error {
		if op == "CopyTo" && once {
			once = false
			return p.Remove(context.Background(), provider.Selector{Label: ""}) // by who made it
		}
		return nil
	}
	made()
	if err := m.Ensure(t.Context(), Local(0), imageOf); err != nil {
		t.Errorf("it went meanwhile: %v", err)
	}
	if err := p.Remove(t.Context(), provider.Selector{Label: ""}); err != nil {
		t.Fatal(err)
	}
	// Another process makes it while the image is looked for, and it cannot be started.
	p.Fail = failing("StartNode", provider.ErrPortTaken)
	err := m.Ensure(t.Context(), Local(0), func(context.Context) (string, error) { made(); return image, nil })
	nodes, nerr := p.Nodes(t.Context(), nil)
	if !errors.Is(err, provider.ErrPortTaken) || nerr != nil || len(nodes) != 1 {
		t.Errorf("got %v; left are %v, %v", err, nodes, nerr)
	}
}

func TestEnsureFails(t *testing.T) {
	for _, test := range []struct {
		name, says, hint string
		spoil            func(t *testing.T, p *providertest.Provider, m *Manager)
		left             bool
	}{
		{"port", "host port is taken", "--port", func(t *testing.T, p *providertest.Provider, _ *Manager) {
			t.Helper()
			p.Fail = failing("StartNode", provider.ErrPortTaken)
		}, false},
		{"files", "broken", "", func(t *testing.T, p *providertest.Provider, _ *Manager) {
			t.Helper()
			p.Fail = failing("CopyTo", errors.New("broken"))
		}, false},
		{"a stranger", "name is taken", "not kluster's", func(t *testing.T, p *providertest.Provider, _ *Manager) {
			t.Helper()
			if _, err := p.CreateNode(t.Context(), provider.NodeSpec{Name: LocalName, Image: image}); err != nil {
				t.Fatal(err)
			}
		}, true},
		{"another port", "is there already, as the local registry at localhost:5009", "kluster registry delete kluster-registry", func(t *testing.T, _ *providertest.Provider, m *Manager) {
			t.Helper()
			if err := m.Ensure(t.Context(), Local(5009), imageOf); err != nil {
				t.Fatal(err)
			}
		}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := engine(t)
			m, _ := manager(p)
			test.spoil(t, p, m)
			err := m.Ensure(t.Context(), Local(0), imageOf)
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Fatalf("got %v, want %s", err, test.says)
			}
			if hints := strings.Join(failure.Hints(err), "\n"); !strings.Contains(hints, test.hint) {
				t.Errorf("hints are %q, want %s", hints, test.hint)
			}
			nodes, err := p.Nodes(t.Context(), nil)
			if err != nil || (len(nodes) > 0) != test.left {
				t.Errorf("left are %v, %v", nodes, err)
			}
		})
	}
}

func failing(op string, err error) func(string, string) error {
	return func(o, _ string) error {
		if o == op {
			return err
		}
		return nil
	}
}

// TestUpstreamThatDoesNotAnswer is no error: a cache gives what it has.
func TestUpstreamThatDoesNotAnswer(t *testing.T) {
	p := engine(t)
	p.Handle = func(_ context.Context, _ provider.Node, c provider.Command) int {
		if slices.Contains(c.Args, "https://r.example/v2/") {
			fmt.Fprint(c.Stderr, "curl: (6) no such host")
			return 6
		}
		return 0
	}
	m, n := manager(p)
	for range 2 {
		if err := m.Ensure(t.Context(), Cache("r.example", ""), imageOf); err != nil {
			t.Fatal(err)
		}
	}
	if len(n.said) != 1 || !strings.Contains(n.said[0], "https://r.example does not answer now (curl: (6) no such host)") {
		t.Errorf("said %q", n.said)
	}
}

// TestClustersComeAndGo connects clusters, and starts a registry that was stopped while
// one of them was deleted.
func TestClustersComeAndGo(t *testing.T) {
	p := engine(t)
	m, _ := manager(p)
	if err := m.Ensure(t.Context(), Local(0), imageOf); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"one", "two"} {
		_, err := p.CreateNetwork(t.Context(), provider.NetworkSpec{Name: name, Labels: map[string]string{nodespec.LabelCluster: name}})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Connect(t.Context(), Local(0), name); err != nil {
			t.Fatal(err)
		}
	}
	wantClusters(t, m, "one", "two")
	if _, err := m.Delete(t.Context(), []string{LocalName}, false); err == nil || !strings.Contains(err.Error(), "kluster-registry is used by one, two") {
		t.Errorf("got %v", err)
	}
	if err := p.StopNode(t.Context(), LocalName, 0); err != nil {
		t.Fatal(err)
	}
	if err := p.Remove(t.Context(), provider.Selector{nodespec.LabelCluster: "one"}); err != nil {
		t.Fatal(err)
	}
	if err := m.Ensure(t.Context(), Local(0), imageOf); err != nil {
		t.Fatal(err)
	}
	wantClusters(t, m, "two")
	if err := m.Connect(t.Context(), Cache("docker.io", ""), "two"); !isNotFound(err) {
		t.Errorf("got %v", err)
	}
	gone, err := m.Delete(t.Context(), nil, true)
	if err != nil || !slices.Equal(gone, []string{LocalName}) {
		t.Errorf("deleted %q, %v", gone, err)
	}
	if _, err := m.Delete(t.Context(), []string{LocalName}, false); !isNotFound(err) {
		t.Errorf("got %v", err)
	}
}

// TestClusterMadeAnew starts a registry that was stopped while a cluster of it was deleted
// and one of the same name made.
func TestClusterMadeAnew(t *testing.T) {
	p := engine(t)
	m, _ := manager(p)
	network := provider.NetworkSpec{Name: "one", Labels: map[string]string{nodespec.LabelCluster: "one"}}
	ensure := func() {
		t.Helper()
		if err := m.Ensure(t.Context(), Local(0), imageOf); err != nil {
			t.Fatal(err)
		}
	}
	join := func() {
		t.Helper()
		if _, err := p.CreateNetwork(t.Context(), network); err != nil {
			t.Fatal(err)
		}
	}
	ensure()
	join()
	if err := m.Connect(t.Context(), Local(0), "one"); err != nil {
		t.Fatal(err)
	}
	if err := p.StopNode(t.Context(), LocalName, 0); err != nil {
		t.Fatal(err)
	}
	if err := p.Remove(t.Context(), provider.Selector{nodespec.LabelCluster: "one"}); err != nil {
		t.Fatal(err)
	}
	join()
	wantClusters(t, m)
	ensure()
	if err := m.Connect(t.Context(), Local(0), "one"); err != nil {
		t.Fatal(err)
	}
	wantClusters(t, m, "one")
}

func isNotFound(err error) bool {
	var missing *NotFoundError
	return errors.As(err, &missing)
}

func wantClusters(t *testing.T, m *Manager, want ...string) {
	t.Helper()
	infos, err := m.List(t.Context())
	if err != nil || len(infos) != 1 || !slices.Equal(infos[0].Clusters, want) {
		t.Errorf("registries are %+v, %v; want one of %q", infos, err, want)
	}
}

// TestChoose finds a cache by what it is a cache of.
func TestChoose(t *testing.T) {
	m, _ := manager(engine(t))
	for _, s := range []Spec{Local(0), Cache("docker.io", "")} {
		if err := m.Ensure(t.Context(), s, imageOf); err != nil {
			t.Fatal(err)
		}
	}
	got, err := m.Choose(t.Context(), []string{"docker.io", "kluster-cache-docker.io"})
	if err != nil || len(got) != 1 || got[0].Upstream != "docker.io" {
		t.Errorf("got %v, %v", got, err)
	}
	_, err = m.Choose(t.Context(), []string{"quay.io"})
	if err == nil || !strings.Contains(strings.Join(failure.Hints(err), ""), "docker.io, kluster-cache-docker.io, kluster-registry") {
		t.Errorf("got %v", err)
	}
}
