package mirrors

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/pki"
)

// server notes what it is asked, and answers with its name.
type server struct {
	*httptest.Server
	name string
	code int
	mu   sync.Mutex
	seen []string // "GET /v2/x auth"
}

func newServer(t *testing.T, name string, secure bool) *server {
	t.Helper()
	s := &server{name: name, code: http.StatusOK}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.seen = append(s.seen, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+r.Header.Get("Authorization")))
		w.WriteHeader(s.code)
		fmt.Fprint(w, s.name)
	})
	s.Server = httptest.NewUnstartedServer(handler)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelWarn)
	if secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

func (s *server) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

func (s *server) answers(code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.code = code
}

// proxied is a client of a proxy which knows mirrors of "registry.example", whose name
// leads to upstream.
func proxied(t *testing.T, upstream string, mirrors ...string) *http.Client {
	t.Helper()
	authority, err := pki.NewServers("test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	p := newProxy(Config{
		Mirrors: func() ([]nodespec.Mirror, error) {
			return []nodespec.Mirror{{Of: "registry.example", Endpoints: mirrors}, {Of: "docker.io", Endpoints: mirrors}}, nil
		},
		Certificate: func(host string) (*tls.Certificate, error) { return authority.For(host, time.Now()) },
		Proxy:       func(*http.Request) (*url.URL, error) { return nil, nil },
		Timing:      Timing{Dial: time.Second, Answer: 5 * time.Second, Probe: 300 * time.Millisecond},
		Log:         slog.New(slog.DiscardHandler),
	})
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.Certificate())
	p.transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // servers of this test
	toUpstream := func(ctx context.Context, network, addr string) (net.Conn, error) {
		if host, _, _ := net.SplitHostPort(addr); !strings.HasPrefix(host, "127.") {
			addr = upstream
		}
		return (&net.Dialer{Timeout: time.Second}).DialContext(ctx, network, addr)
	}
	p.transport.DialContext = toUpstream
	return clientOf(t, p, roots)
}

// clientOf runs a proxy until the test ends.
func clientOf(t *testing.T, p *proxy, roots *x509.CertPool) *http.Client {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // bound at once
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the proxy ended: %v", err)
		}
	})
	transport := &http.Transport{
		Proxy:           http.ProxyURL(&url.URL{Scheme: "http", Host: l.Addr().String()}),
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// get is the answer's code and text.
func get(t *testing.T, c *http.Client, method, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Basic c2VjcmV0")
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

const image = "https://registry.example/v2/app/manifests/1"

func host(s *server) string {
	return strings.TrimPrefix(strings.TrimPrefix(s.URL, "https://"), "http://")
}

func TestMirrorsAreAskedInOrder(t *testing.T) {
	upstream, first, second := newServer(t, "upstream", true), newServer(t, "first", false), newServer(t, "second", true)
	c := proxied(t, host(upstream), first.URL, second.URL+"/hub")
	for _, step := range []struct {
		first, second int
		want          string
	}{{200, 200, "first"}, {404, 200, "second"}, {500, 429, "upstream"}, {401, 403, "upstream"}, {200, 200, "first"}} {
		first.answers(step.first)
		second.answers(step.second)
		if code, text := get(t, c, http.MethodGet, image); code != 200 || text != step.want {
			t.Errorf("%+v: %d %s", step, code, text)
		}
	}
	if diff := cmp.Diff("GET /v2/hub/app/manifests/1", second.asked()[0]); diff != "" {
		t.Error("a mirror with a prefix:", diff)
	}
	for _, asked := range append(first.asked(), second.asked()...) {
		if strings.Contains(asked, "Basic") {
			t.Errorf("a mirror was told who asks: %s", asked)
		}
	}
	if asked := upstream.asked(); len(asked) != 2 || !strings.HasSuffix(asked[0], "Basic c2VjcmV0") {
		t.Errorf("the registry was asked %q", asked)
	}
}

func TestMirrorsThatAreGone(t *testing.T) {
	upstream, first := newServer(t, "upstream", true), newServer(t, "first", false)
	c := proxied(t, host(upstream), first.URL)
	first.Close()
	if code, text := get(t, c, http.MethodGet, image); code != 200 || text != "upstream" {
		t.Errorf("%d %s", code, text)
	}
	upstream.Close()
	if code, text := get(t, c, http.MethodGet, image); code != http.StatusBadGateway || !strings.Contains(text, "neither registry.example nor a mirror of it answers: asking 127.0.0.1") {
		t.Errorf("%d %s", code, text)
	}
}

// TestPing: whether a registry wants to know who asks it says itself; when it cannot,
// mirrors do, which do not want to.
func TestPing(t *testing.T) {
	upstream, first := newServer(t, "upstream", true), newServer(t, "first", false)
	c := proxied(t, host(upstream), first.URL)
	upstream.answers(401)
	if code, text := get(t, c, http.MethodGet, "https://registry.example/v2/"); code != 401 || text != "upstream" {
		t.Errorf("%d %s", code, text)
	}
	upstream.Close()
	if code, text := get(t, c, http.MethodGet, "https://registry.example/v2/"); code != 200 || text != "first" {
		t.Errorf("%d %s", code, text)
	}
}

// TestSilentRegistry: a packet filter that drops all must not hold up what a mirror has.
func TestSilentRegistry(t *testing.T) {
	first := newServer(t, "first", false)
	silent, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // bound at once
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	c := proxied(t, silent.Addr().String(), first.URL)
	began := time.Now()
	if code, text := get(t, c, http.MethodGet, "https://registry.example/v2/"); code != 200 || text != "first" {
		t.Errorf("%d %s", code, text)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestPushesGoToTheRegistry(t *testing.T) {
	upstream, first := newServer(t, "upstream", true), newServer(t, "first", false)
	c := proxied(t, host(upstream), first.URL)
	if code, text := get(t, c, http.MethodPut, image); code != 200 || text != "upstream" || len(first.asked()) > 0 {
		t.Errorf("%d %s, the mirror was asked %q", code, text, first.asked())
	}
}

func TestDockerHub(t *testing.T) {
	upstream, first := newServer(t, "upstream", true), newServer(t, "first", false)
	c := proxied(t, host(upstream), first.URL)
	if code, text := get(t, c, http.MethodGet, "https://registry-1.docker.io/v2/library/a/manifests/1"); code != 200 || text != "first" {
		t.Errorf("%d %s", code, text)
	}
}

// TestOthersArePassedOn: end to end, so that only a client that trusts the server's own
// certificate is content.
func TestOthersArePassedOn(t *testing.T) {
	other, plain := newServer(t, "other", true), newServer(t, "plain", false)
	p := newProxy(Config{
		Mirrors: func() ([]nodespec.Mirror, error) { return nil, nil },
		Proxy:   func(*http.Request) (*url.URL, error) { return nil, nil }, Timing: DefaultTiming, Log: slog.New(slog.DiscardHandler),
	})
	roots := x509.NewCertPool()
	roots.AddCert(other.Certificate())
	c := clientOf(t, p, roots)
	for _, s := range []*server{other, plain} {
		if code, text := get(t, c, http.MethodPost, s.URL+"/x"); code != 200 || text != s.name {
			t.Errorf("%d %s", code, text)
		}
		if diff := cmp.Diff([]string{"POST /x Basic c2VjcmV0"}, s.asked()); diff != "" {
			t.Error(diff)
		}
	}
}

// TestThroughTheNodesProxy: the proxy of the user stands between.
func TestThroughTheNodesProxy(t *testing.T) {
	other := newServer(t, "other", true)
	direct := newProxy(Config{
		Mirrors: func() ([]nodespec.Mirror, error) { return nil, nil },
		Proxy:   func(*http.Request) (*url.URL, error) { return nil, nil }, Timing: DefaultTiming, Log: slog.New(slog.DiscardHandler),
	})
	var mu sync.Mutex
	var asked []string
	users := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked = append(asked, r.Method+" "+r.Host+" "+r.Header.Get("Proxy-Authorization"))
		mu.Unlock()
		direct.ServeHTTP(w, r)
	}))
	defer users.Close()
	via, err := url.Parse(users.URL)
	if err != nil {
		t.Fatal(err)
	}
	via.User = url.UserPassword("me", "pass")
	p := newProxy(Config{
		Mirrors: func() ([]nodespec.Mirror, error) { return nil, nil },
		Proxy:   http.ProxyURL(via), Timing: DefaultTiming, Log: slog.New(slog.DiscardHandler),
	})
	roots := x509.NewCertPool()
	roots.AddCert(other.Certificate())
	c := clientOf(t, p, roots)
	if code, text := get(t, c, http.MethodGet, other.URL+"/x"); code != 200 || text != "other" {
		t.Errorf("%d %s", code, text)
	}
	if diff := cmp.Diff([]string{"CONNECT " + host(other) + " Basic bWU6cGFzcw=="}, asked); diff != "" {
		t.Error(diff)
	}
	users.CloseClientConnections()
	users.Close()
	c.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, other.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err == nil {
		resp.Body.Close()
		t.Fatal("no error of a proxy that is gone")
	}
	if want := "reaching " + host(other) + " by the proxy " + via.Host; !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "pass") {
		t.Errorf("err = %v", err)
	}
}

func TestNotAProxyRequest(t *testing.T) {
	p := newProxy(Config{Timing: DefaultTiming})
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody))
	if w.Code != http.StatusBadRequest {
		t.Errorf("%d", w.Code)
	}
}

func TestRegistryName(t *testing.T) {
	for given, want := range map[[2]string]string{
		{"https", "quay.io:443"}: "quay.io", {"https", "quay.io:5000"}: "quay.io:5000", {"http", "quay.io"}: "quay.io",
		{"http", "quay.io:80"}: "quay.io", {"https", "registry-1.docker.io:443"}: "docker.io", {"http", "quay.io:443"}: "quay.io:443",
	} {
		if got := registryName(given[0], given[1]); got != want {
			t.Errorf("%v: %s", given, got)
		}
	}
}
