package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/redact"
	"github.com/kluster-project/kluster/provider"
	"github.com/kluster-project/kluster/provider/providertest"
)

// asking is a create that wants the credentials of registries.
func asking(t *testing.T, p *providertest.Provider, registries ...string) *creation {
	t.Helper()
	c := &creation{m: manager(t, p), cfg: wanted(t, "c", 1).Config}
	c.cfg.Registries.Credentials = registries
	return c
}

func TestCredentialsForKubelets(t *testing.T) {
	p := engine(t)
	p.Auth = map[string]provider.Credentials{
		"docker.io": {Username: "me", Password: "hub-secret"}, "r.example:5000": {Username: "you", Password: "with:colon"},
	}
	c := asking(t, p, "docker.io", "r.example:5000")
	if err := c.readCredentials(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(c.secrets) != 1 || c.secrets[0].Path != "/var/lib/kubelet/config.json" || c.secrets[0].Mode != 0o600 {
		t.Fatalf("files %+v", c.secrets)
	}
	var got dockerConfig
	if err := json.Unmarshal(c.secrets[0].Data, &got); err != nil {
		t.Fatal(err)
	}
	passwords := map[string]string{}
	for of, auth := range got.Auths {
		passwords[of] = auth.password()
	}
	if diff := cmp.Diff(map[string]string{"https://index.docker.io/v1/": "hub-secret", "r.example:5000": "with:colon"}, passwords); diff != "" {
		t.Error(diff)
	}
	if text := string(redact.Text([]byte("it said hub-secret and with:colon"))); strings.Contains(text, "secret") || strings.Contains(text, "colon") {
		t.Errorf("a bundle would show %s", text)
	}
}

// TestCredentialsThatAreNot: nothing may have been made by then.
func TestCredentialsThatAreNot(t *testing.T) {
	broken := errors.New("the helper failed")
	for name, test := range map[string]struct {
		has  provider.Credentials
		fail error
		says string
	}{
		"none":     {says: "credentials of r.example: this machine's user has none"},
		"no name":  {has: provider.Credentials{Password: "secret"}, says: "this machine's user has none"},
		"identity": {has: provider.Credentials{Username: "<token>", IdentityToken: "secret"}, says: "an identity token, which kubelets cannot use"},
		"helper":   {fail: broken, says: "the helper failed"},
	} {
		t.Run(name, func(t *testing.T) {
			p := engine(t)
			p.Auth = map[string]provider.Credentials{"r.example": test.has}
			p.Fail = func(op, _ string) error {
				if op == "Credentials" {
					return test.fail
				}
				return nil
			}
			opt := wanted(t, "c", 1)
			opt.Config.Registries.Credentials = []string{"r.example"}
			_, err := manager(t, p).Create(t.Context(), opt)
			var input *inputError
			if !errors.As(err, &input) || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "secret") {
				t.Errorf("err = %v", err)
			}
			if nodes, err := p.Nodes(t.Context(), nil); err != nil || len(nodes) > 0 {
				t.Errorf("nodes %v, %v", nodes, err)
			}
		})
	}
}

// TestCredentialsOfAClusterThatThereIs: named ones are added, and all that there are
// renewed.
func TestCredentialsOfAClusterThatThereIs(t *testing.T) {
	p := engineWith(t, "var/lib/kubelet/none")
	running(t, p, "c")
	m := manager(t, p)
	p.Auth = map[string]provider.Credentials{"docker.io": {Username: "me", Password: "first"}, "r.example": {Username: "me", Password: "second"}}
	if _, err := m.GiveCredentials(t.Context(), "c", nil); err == nil || !strings.Contains(err.Error(), "have no credentials of registries") {
		t.Errorf("err = %v", err)
	}
	for _, name := range []string{"docker.io", "r.example"} {
		if given, err := m.GiveCredentials(t.Context(), "c", []string{name}); err != nil || len(given) != 1 || given[0] != name {
			t.Fatalf("%v, %v", given, err)
		}
	}
	p.Auth["docker.io"] = provider.Credentials{Username: "me", Password: "third"}
	given, err := m.GiveCredentials(t.Context(), "c", nil)
	if diff := cmp.Diff([]string{"docker.io", "r.example"}, given); err != nil || diff != "" {
		t.Fatal(err, diff)
	}
	for _, node := range []string{"c-control-plane-1", "c-worker-1"} {
		text, err := p.ReadFile(node, pullSecrets)
		var got dockerConfig
		if err := errors.Join(err, json.Unmarshal(text, &got)); err != nil {
			t.Fatal(err)
		}
		passwords := map[string]string{}
		for of, auth := range got.Auths {
			passwords[of] = auth.password()
		}
		if diff := cmp.Diff(map[string]string{dockerHub: "third", "r.example": "second"}, passwords); diff != "" {
			t.Errorf("%s: %s", node, diff)
		}
	}
	if _, err := p.ReadFile("c-lb", pullSecrets); err == nil {
		t.Error("the load balancer has credentials")
	}
	delete(p.Auth, "r.example")
	if _, err := m.GiveCredentials(t.Context(), "c", nil); err == nil || !strings.Contains(err.Error(), "r.example") {
		t.Errorf("err = %v", err)
	}
}

// TestUsersOwnSecretsStay: a user may have written more than kluster does.
func TestUsersOwnSecretsStay(t *testing.T) {
	p := engineWith(t, "var/lib/kubelet/none")
	running(t, p, "c")
	m := manager(t, p)
	p.Auth = map[string]provider.Credentials{"r.example": {Username: "me", Password: "new"}}
	lay := func(text string) {
		t.Helper()
		archive, err := tarOf([]nodespec.File{{Path: pullSecrets, Mode: 0o600, Data: []byte(text)}}, time.Now())
		if err == nil {
			err = p.CopyTo(t.Context(), "c-worker-1", "/", archive)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	lay(`{"credHelpers":{"h.example":"helper"},"auths":{"o.example":{"username":"a","password":"b"},"r.example":{"auth":"b2xk"}}}`)
	if _, err := m.GiveCredentials(t.Context(), "c", []string{"r.example"}); err != nil {
		t.Fatal(err)
	}
	text, err := p.ReadFile("c-worker-1", pullSecrets)
	want := `{"auths":{"o.example":{"username":"a","password":"b"},"r.example":{"auth":"bWU6bmV3"}},"credHelpers":{"h.example":"helper"}}`
	if err != nil || string(text) != want {
		t.Errorf("%s, %v", text, err)
	}
	lay("{")
	if _, err := m.GiveCredentials(t.Context(), "c", []string{"r.example"}); err == nil || !strings.Contains(err.Error(), "reading the credentials of c-worker-1") {
		t.Errorf("err = %v", err)
	}
}

// TestSecretsOfNodesAreHidden: those that a user put there are not known otherwise.
func TestSecretsOfNodesAreHidden(t *testing.T) {
	p := engineWith(t, "var/lib/kubelet/none")
	running(t, p, "c")
	m := manager(t, p)
	nodes, err := m.machines(t.Context(), "c")
	if err != nil {
		t.Fatal(err)
	}
	file := nodespec.File{Path: pullSecrets, Mode: 0o600, Data: []byte(`{"auths":{"r.example":{"auth":"bWU6b25seS1pbi10aGUtbm9kZQ=="},"o.example":{"password":"other-form"}}}`)}
	for i, text := range [][]byte{file.Data, []byte("{")} {
		file.Data = text
		archive, err := tarOf([]nodespec.File{file}, time.Now())
		if err == nil {
			err = p.CopyTo(t.Context(), nodes[i].ID, "/", archive)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	m.hideSecrets(t.Context(), nodes)
	if text := string(redact.Text([]byte("only-in-the-node bWU6b25seS1pbi10aGUtbm9kZQ== other-form"))); text != "(redacted) (redacted) (redacted)" {
		t.Errorf("a bundle would show %s", text)
	}
}

func TestNodesTrustAuthorities(t *testing.T) {
	p := engine(t)
	opt := wanted(t, "c", 1)
	opt.Config.CertificateAuthorities = []config.Authority{{Path: "/a", PEM: []byte("A")}, {Path: "/b", PEM: []byte("B")}}
	opt.Config.Registries.Mirrors = []nodespec.Mirror{{Of: "docker.io", Endpoints: []string{"https://a.example"}}}
	opt.Retain, opt.Wait = true, time.Second
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	// The fake nodes have no API: what they were given is of interest.
	_, _ = manager(t, p).Create(ctx, opt)
	for file, want := range map[string]string{
		"/usr/local/share/ca-certificates/kluster-1.crt": "A", "/usr/local/share/ca-certificates/kluster-2.crt": "B",
		"/etc/kluster/mirrors.d/20-user.json": "https://a.example",
	} {
		if text, err := p.ReadFile("c-control-plane-1", file); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s is %q, %v", file, text, err)
		}
	}
}

func TestProxyThatIsAskedFor(t *testing.T) {
	c := &creation{cfg: wanted(t, "c", 1).Config}
	c.host.ProxyEnv = map[string]string{"HTTPS_PROXY": "http://hosts:3128", "NO_PROXY": "hosts.example"}
	node := c.cfg.Nodes[0]
	c.cfg.Proxy = &config.Proxy{}
	if env := c.nodeEnv(node); len(env) > 0 {
		t.Errorf("without a proxy: %v", env)
	}
	c.cfg.Proxy = &config.Proxy{HTTP: "http://own:3128", No: []string{"own.example"}}
	env := c.nodeEnv(node)
	if _, other := env["HTTPS_PROXY"]; other || env["http_proxy"] != "http://own:3128" || !strings.HasPrefix(env["NO_PROXY"], "own.example,10.244.0.0/16,") {
		t.Errorf("env = %v", env)
	}
}
