package loadbalancer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// balancer is a haproxy that runs before apiservers of the test's own.
type balancer struct {
	Live
	ctx     context.Context //nolint:containedctx // the test's
	config  Config
	servers []*apiserver
	at      string
	ca      []byte
}

func startBalancer(t *testing.T, servers int, of ...int) *balancer {
	t.Helper()
	bin := haproxy(t)
	cert, ca := serverCertificate(t, "kubernetes")
	b := &balancer{ca: ca, config: Config{Port: freePort(t), CAFile: filepath.Join(t.TempDir(), "ca.crt"), Socket: filepath.Join(t.TempDir(), "s")}}
	b.Socket = b.config.Socket
	if err := os.WriteFile(b.config.CAFile, ca, 0o644); err != nil {
		t.Fatal(err)
	}
	for i := range servers {
		b.servers = append(b.servers, newAPIServer(t, fmt.Sprint(i), cert))
	}
	b.config.Backends = b.backends(of...)
	run(t, bin, writeConfig(t, b.config))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	b.ctx, b.at = ctx, fmt.Sprintf("127.0.0.1:%d", b.config.Port)
	return b
}

func (b *balancer) backends(of ...int) []Backend {
	var out []Backend
	for _, i := range of {
		s := b.servers[i]
		out = append(out, Backend{Name: "cp" + s.name, Addr: netip.MustParseAddrPort(s.server.Listener.Addr().String())})
	}
	return out
}

// apply makes the balancer serve these.
func (b *balancer) apply(t *testing.T, cut bool, of ...int) {
	t.Helper()
	c := b.config
	c.Backends = b.backends(of...)
	if err := b.Apply(b.ctx, rendered(t, c), cut); err != nil {
		t.Fatal(err)
	}
}

// open makes a session, and says who serves it.
func (b *balancer) open(t *testing.T) (*tls.Conn, int) {
	t.Helper()
	return open(b.ctx, t, b.at, b.ca)
}

// serve checks who serves new sessions: these, all of them.
func (b *balancer) serve(t *testing.T, want ...int) {
	t.Helper()
	var got []int
	for range 6 {
		_, by := b.open(t)
		got = append(got, by)
	}
	slices.Sort(got)
	if got = slices.Compact(got); !slices.Equal(got, want) {
		t.Errorf("%v serve, want %v", got, want)
	}
}

// lasts says whether a session goes on.
func lasts(t *testing.T, session *tls.Conn, within time.Duration) bool {
	t.Helper()
	if err := session.SetReadDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	_, err := session.Read(make([]byte, 1))
	return errors.Is(err, os.ErrDeadlineExceeded)
}

func TestBackendsChangeWhileItRuns(t *testing.T) {
	b := startBalancer(t, 2, 0)
	first, _ := b.open(t)
	b.apply(t, false, 0, 1)
	b.serve(t, 0, 1)
	b.apply(t, false, 1)
	b.serve(t, 1)
	if !lasts(t, first, 200*time.Millisecond) {
		t.Error("the session with a backend that goes was cut")
	}
	b.apply(t, false, 0, 1) // it comes back before it has gone
	b.serve(t, 0, 1)
	if got, err := b.Live.servers(b.ctx); err != nil || len(got) != 2 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestBackendThatGoesIsCut(t *testing.T) {
	b := startBalancer(t, 2, 0)
	session, _ := b.open(t)
	b.apply(t, true, 1)
	if lasts(t, session, 10*time.Second) {
		t.Error("the session with a backend that has gone goes on")
	}
	b.serve(t, 1)
	if got, err := b.Live.servers(b.ctx); err != nil || !slices.Equal(got, b.backends(1)) {
		t.Errorf("%v, %v", got, err)
	}
	b.apply(t, true, 1) // again is nothing
}

// TestBackendThatCameIsChecked: what is added while haproxy runs is checked as others are.
func TestBackendThatCameIsChecked(t *testing.T) {
	b := startBalancer(t, 2, 0)
	b.apply(t, false, 0, 1)
	var session *tls.Conn
	for by := 0; by != 1; {
		session, by = b.open(t)
	}
	b.servers[1].ready.Store(false)
	if lasts(t, session, 30*time.Second) {
		t.Error("the session to a backend that is down was not cut")
	}
	b.serve(t, 0)
}

func TestBackendWithAnotherAddress(t *testing.T) {
	b := startBalancer(t, 2, 0)
	b.servers[1].name = "0"
	b.apply(t, false, 1)
	if got, err := b.Live.servers(b.ctx); err != nil || !slices.Equal(got, b.backends(1)) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestNoHaproxyToChange(t *testing.T) {
	l := Live{Socket: filepath.Join(t.TempDir(), "none")}
	ctx, cancel := context.WithTimeout(t.Context(), 2*retry)
	defer cancel()
	if err := l.Apply(ctx, rendered(t, configs["one"]), false); err == nil {
		t.Error("no error")
	}
	if err := l.Apply(t.Context(), []byte("listen api\n"), false); err == nil {
		t.Error("no error of a configuration that is not ours")
	}
}
