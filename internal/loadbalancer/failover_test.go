package loadbalancer

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// TestFailover runs haproxy before two apiservers of the test's own. When the one
// that serves a session fails its check, though it still accepts connections, the
// session is cut and new ones reach the other.
func TestFailover(t *testing.T) {
	bin := haproxy(t)
	cert, ca := serverCertificate(t, "kubernetes")
	servers := []*apiserver{newAPIServer(t, "0", cert), newAPIServer(t, "1", cert)}
	c := Config{Port: freePort(t), CAFile: filepath.Join(t.TempDir(), "ca.crt"), Socket: filepath.Join(t.TempDir(), "s")}
	if err := os.WriteFile(c.CAFile, ca, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, s := range servers {
		c.Backends = append(c.Backends, Backend{Name: "cp" + s.name, Addr: netip.MustParseAddrPort(s.server.Listener.Addr().String())})
	}
	run(t, bin, writeConfig(t, c))

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	at := fmt.Sprintf("127.0.0.1:%d", c.Port)
	session, by := open(ctx, t, at, ca)
	servers[by].ready.Store(false)
	if err := session.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := session.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("the session to a backend that is down was not cut: %v", err)
	}
	for range 5 {
		if _, now := open(ctx, t, at, ca); now == by {
			t.Errorf("a new session reached backend %d, which is down", now)
		}
	}
}

// TestVerifiesBackends: a backend whose certificate is not the cluster's gets no
// traffic.
func TestVerifiesBackends(t *testing.T) {
	bin := haproxy(t)
	good, ca := serverCertificate(t, "kubernetes")
	bad, _ := serverCertificate(t, "kubernetes")
	right, wrong := newAPIServer(t, "0", good), newAPIServer(t, "1", bad)
	c := Config{Port: freePort(t), CAFile: filepath.Join(t.TempDir(), "ca.crt"), Socket: filepath.Join(t.TempDir(), "s")}
	if err := os.WriteFile(c.CAFile, ca, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*apiserver{right, wrong} {
		c.Backends = append(c.Backends, Backend{Name: "cp" + s.name, Addr: netip.MustParseAddrPort(s.server.Listener.Addr().String())})
	}
	run(t, bin, writeConfig(t, c))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	// A server counts as up until its first two checks failed; from then on
	// every session goes to the right one.
	for streak := 0; streak < 10; {
		if err := ctx.Err(); err != nil {
			t.Fatalf("the backend with another certificate still gets sessions: %v", err)
		}
		conn, err := dial(ctx, fmt.Sprintf("127.0.0.1:%d", c.Port), ca)
		if err != nil { // the wrong one's certificate, or not listening yet
			streak = 0
			continue
		}
		conn.Close()
		streak++
	}
}

// apiserver answers /readyz as ready says, and everything else with its name.
type apiserver struct {
	name   string
	ready  atomic.Bool
	server *httptest.Server
}

func newAPIServer(t *testing.T, name string, cert tls.Certificate) *apiserver {
	t.Helper()
	s := &apiserver{name: name}
	s.ready.Store(true)
	s.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/readyz" && !s.ready.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, s.name)
	}))
	s.server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	s.server.Config.ErrorLog = nil
	s.server.StartTLS()
	t.Cleanup(s.server.Close)
	return s
}

// open makes a session through the load balancer, as soon as it listens, and asks
// which backend serves it. The session stays open.
func open(ctx context.Context, t *testing.T, addr string, ca []byte) (*tls.Conn, int) {
	t.Helper()
	var conn *tls.Conn
	for {
		var err error
		if conn, err = dial(ctx, addr, ca); err == nil {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("no session through the load balancer: %v", err)
		}
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, "GET /name HTTP/1.1\r\nHost: kubernetes\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || len(body) != 1 {
		t.Fatalf("answer %q, %v", body, err)
	}
	return conn, int(body[0] - '0')
}

func dial(ctx context.Context, addr string, ca []byte) (*tls.Conn, error) {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	d := tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: "kubernetes"}}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return conn.(*tls.Conn), nil
}

// run runs haproxy until the test ends.
func run(t *testing.T, bin, config string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, bin, "-db", "-f", config)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// serverCertificate makes a certificate that is its own authority.
func serverCertificate(t *testing.T, name string) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
