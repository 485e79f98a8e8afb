package apiproxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// timing is short, but long enough for a busy machine to answer in time.
var timing = Timing{Interval: 20 * time.Millisecond, Retry: 10 * time.Millisecond, Timeout: 400 * time.Millisecond, Fails: 2, Hold: 100 * time.Millisecond}

// apiServer is an API server that can be made unready, frozen or dead.
type apiServer struct {
	*httptest.Server
	addr    string
	unready atomic.Bool
	gate    gate
}

// gate holds back what is read from connections while it is shut, as a frozen
// process does: the kernel goes on accepting.
type gate struct {
	mu   sync.Mutex
	shut chan struct{}
}

func (g *gate) freeze() { g.mu.Lock(); g.shut = make(chan struct{}); g.mu.Unlock() }

func (g *gate) thaw() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut != nil {
		close(g.shut)
		g.shut = nil
	}
}

func (g *gate) wait() {
	g.mu.Lock()
	shut := g.shut
	g.mu.Unlock()
	if shut != nil {
		<-shut
	}
}

type gatedListener struct {
	net.Listener
	gate *gate
}

func (l gatedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return gatedConn{c, l.gate}, err
}

type gatedConn struct {
	net.Conn
	gate *gate
}

func (c gatedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.gate.wait()
	return n, err
}

// startServer serves /readyz, /name (the server's name) and /hang, which never
// answers but sends its header.
func startServer(t *testing.T, name string) *apiServer {
	t.Helper()
	s := &apiServer{}
	mux := http.NewServeMux()
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if s.unready.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("/name", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, name) })
	mux.HandleFunc("/hang", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	s.Server = httptest.NewUnstartedServer(mux)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.Listener = gatedListener{s.Listener, &s.gate}
	s.addr = s.Listener.Addr().String()
	s.StartTLS()
	t.Cleanup(func() { s.gate.thaw(); s.CloseClientConnections(); s.Close() })
	return s
}

// events tells tests when the proxy changes its mind about a server.
type events struct {
	slog.Handler
	seen chan string
}

func (e events) Handle(_ context.Context, r slog.Record) error {
	text := ""
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "server" || a.Key == "to" {
			text += fmt.Sprint(a.Value, " ")
		}
		return true
	})
	e.seen <- text
	return nil
}

func (e events) Enabled(context.Context, slog.Level) bool { return true }

// patient holds clients for longer than a test takes.
var patient = func() Timing { t := timing; t.Hold = time.Hour; return t }()

type proxy struct {
	addr     string
	released chan struct{} // closed when the first server is ready
	events   events
	caFile   string
	stop     func() error
	client   *http.Client
}

// start runs a proxy for servers; trusted says whether it knows their CA.
func start(t *testing.T, own string, trusted bool, addrs ...string) *proxy {
	t.Helper()
	return startWith(t, Config{Own: own, Servers: addrs, Timing: timing}, trusted)
}

func startWith(t *testing.T, config Config, trusted bool) *proxy {
	t.Helper()
	p := &proxy{
		released: make(chan struct{}), events: events{seen: make(chan string, 1000)},
		caFile: filepath.Join(t.TempDir(), "ca.crt"),
	}
	if trusted {
		p.trust(t)
	}
	listeners, err := Listen(t.Context(), []string{"127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	p.addr = listeners[0].Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	config.CAFile, config.Log = p.caFile, slog.New(p.events)
	config.Ready = func(context.Context) { close(p.released) }
	go func() { done <- Serve(ctx, config, listeners) }()
	p.stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() {
		if err := p.stop(); err != nil {
			t.Error(err)
		}
	})
	p.client = &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{RootCAs: testCA(t)},
	}}
	return p
}

// testCert is the certificate that httptest's servers all have.
func testCert(t *testing.T) *x509.Certificate {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	return s.Certificate()
}

func testCA(t *testing.T) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(testCert(t))
	return pool
}

func (p *proxy) trust(t *testing.T) {
	t.Helper()
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: testCert(t).Raw})
	if err := os.WriteFile(p.caFile, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// until waits for the proxy to find each server in the state.
func (p *proxy) until(t *testing.T, state health, servers ...*apiServer) {
	t.Helper()
	waiting := map[string]bool{}
	for _, s := range servers {
		waiting[fmt.Sprint(s.addr, " ", state, " ")] = true
	}
	for len(waiting) > 0 {
		select {
		case seen := <-p.events.seen:
			delete(waiting, seen)
		case <-time.After(20 * time.Second):
			t.Fatalf("never seen: %v", waiting)
		}
	}
}

// get opens a session, which ends with the test.
func (p *proxy) get(t *testing.T, path string) io.ReadCloser {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+p.addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := p.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	return response.Body
}

// ask is name for goroutines: it gives errors as text.
func (p *proxy) ask(ctx context.Context) string {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+p.addr+"/name", nil)
	if err != nil {
		return err.Error()
	}
	response, err := p.client.Do(request)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// name asks who answers.
func (p *proxy) name(t *testing.T) string {
	t.Helper()
	body := p.get(t, "/name")
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (p *proxy) wantName(t *testing.T, want string) {
	t.Helper()
	if got := p.name(t); got != want {
		t.Errorf("%s answers, want %s", got, want)
	}
}

// hang opens a session that lasts.
func (p *proxy) hang(t *testing.T) io.Reader {
	t.Helper()
	return p.get(t, "/hang")
}

func TestOwnServerIsPreferred(t *testing.T) {
	a, b, c := startServer(t, "a"), startServer(t, "b"), startServer(t, "c")
	p := start(t, b.addr, true, a.addr, b.addr, c.addr)
	p.until(t, ready, a, b, c)
	for range 5 {
		p.wantName(t, "b")
	}
}

func TestOthersTakeTurns(t *testing.T) {
	a, b := startServer(t, "a"), startServer(t, "b")
	p := start(t, "", true, a.addr, b.addr)
	p.until(t, ready, a, b)
	if x, y := p.name(t), p.name(t); x == y {
		t.Errorf("%s answers twice", x)
	}
}

func TestFailover(t *testing.T) {
	for _, tc := range []struct {
		name          string
		fail, recover func(*apiServer)
	}{
		{"frozen", func(s *apiServer) { s.gate.freeze() }, func(s *apiServer) { s.gate.thaw() }},
		{"not ready", func(s *apiServer) { s.unready.Store(true) }, func(s *apiServer) { s.unready.Store(false) }},
		{"gone", func(s *apiServer) { s.Listener.Close(); s.CloseClientConnections() }, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, b := startServer(t, "a"), startServer(t, "b")
			p := start(t, a.addr, true, a.addr, b.addr)
			p.until(t, ready, a, b)
			session := p.hang(t)
			tc.fail(a)
			p.until(t, dead, a)
			if _, err := session.Read(make([]byte, 1)); err == nil {
				t.Error("the session with the dead server goes on")
			}
			p.wantName(t, "b")
			if tc.recover == nil {
				return
			}
			tc.recover(a)
			p.until(t, ready, a)
			p.wantName(t, "a")
		})
	}
}

// With nowhere better to go, sessions stay.
func TestSessionsStayWhenNoServerIsReady(t *testing.T) {
	a, b := startServer(t, "a"), startServer(t, "b")
	p := start(t, a.addr, true, a.addr, b.addr)
	p.until(t, ready, a, b)
	b.unready.Store(true)
	p.until(t, dead, b)
	session := p.hang(t)
	a.unready.Store(true)
	p.until(t, dead, a)
	read := make(chan error, 1)
	go func() { _, err := session.Read(make([]byte, 1)); read <- err }()
	p.wantName(t, "a")
	select {
	case err := <-read:
		t.Fatalf("the session ended: %v", err)
	default:
	}
	b.unready.Store(false)
	p.until(t, ready, b)
	if err := <-read; err == nil {
		t.Error("the session stays with the dead server though another is ready")
	}
}

func TestWithoutCAServersAreTriedInOrder(t *testing.T) {
	a, b := startServer(t, "a"), startServer(t, "b")
	p := start(t, b.addr, false, a.addr, b.addr)
	p.wantName(t, "b") // the own one first
	b.Listener.Close()
	p.wantName(t, "a")
	p.trust(t)
	p.until(t, ready, a)
	p.wantName(t, "a")
}

// A client that comes before any server is ready gets its answer from the first
// that is, without asking twice.
func TestClientsAreHeldUntilAServerIsReady(t *testing.T) {
	a, b := startServer(t, "a"), startServer(t, "b")
	a.unready.Store(true)
	b.unready.Store(true)
	p := startWith(t, Config{Own: a.addr, Servers: []string{a.addr, b.addr}, Timing: patient}, true)
	p.until(t, dead, a, b)
	answer := make(chan string, 1)
	go func() { answer <- p.ask(t.Context()) }()
	select {
	case got := <-answer:
		t.Fatalf("not held: %q", got)
	case <-p.released:
		t.Fatal("said to be ready before a server was")
	case <-time.After(3 * timing.Timeout):
	}
	b.unready.Store(false)
	if got := <-answer; got != "b" {
		t.Errorf("answer is %q, want b's", got)
	}
	select {
	case <-p.released:
		t.Error("said to be ready before the node's own server was")
	default:
	}
	a.unready.Store(false)
	<-p.released
}

// A client that has said all it has to say still gets its answer.
func TestHalfClose(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		all, _ := io.ReadAll(c)
		fmt.Fprintf(c, "got %s", all)
	}()
	p := start(t, "", false, l.Addr().String())
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "question"); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(bufio.NewReader(c)); err != nil || string(got) != "got question" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestStopEndsSessions(t *testing.T) {
	a := startServer(t, "a")
	p := start(t, a.addr, true, a.addr)
	p.until(t, ready, a)
	session := p.hang(t)
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := session.Read(make([]byte, 1)); err == nil {
		t.Error("the session outlives the proxy")
	}
}

func TestListen(t *testing.T) {
	l, err := Listen(t.Context(), []string{"127.0.0.1:0", "[2001:db8::1]:0"})
	if err != nil || len(l) != 1 {
		t.Fatalf("got %d listeners, %v; want the one address the machine has", len(l), err)
	}
	defer l[0].Close()
	if _, err := Listen(t.Context(), []string{l[0].Addr().String()}); err == nil {
		t.Error("bound an address twice")
	}
}

func TestServeNeedsServers(t *testing.T) {
	if err := Serve(t.Context(), Config{}, nil); err == nil {
		t.Error("serves nothing")
	}
}
