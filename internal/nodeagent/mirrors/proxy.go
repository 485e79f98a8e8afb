package mirrors

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kluster-project/kluster/internal/nodespec"
)

// Timing of what the proxy waits for.
type Timing struct {
	// Dial bounds a connection, Answer the time to the beginning of an answer of a
	// mirror, which may have to fetch something first. Probe bounds the question
	// whether the registry itself is there; it is answered for by mirrors if not.
	Dial, Answer, Probe time.Duration
}

// DefaultTiming is for mirrors that are near, and registries that may be far.
var DefaultTiming = Timing{Dial: 5 * time.Second, Answer: time.Minute, Probe: 4 * time.Second}

// Config says how to proxy.
type Config struct {
	// Mirrors are those of now; it is asked at every connection.
	Mirrors func() ([]nodespec.Mirror, error)
	// Certificate gives the certificate to show in the place of a host.
	Certificate func(host string) (*tls.Certificate, error)
	// Proxy is the proxy to reach others through, as http.Transport.Proxy.
	Proxy  func(*http.Request) (*url.URL, error)
	Timing Timing
	Log    *slog.Logger
}

// proxy is an HTTP proxy.
type proxy struct {
	Config
	dialer    *net.Dialer
	transport *http.Transport
	// inner serves what clients believe to be registries.
	inner intercepted
}

func newProxy(c Config) *proxy {
	dialer := &net.Dialer{Timeout: c.Timing.Dial}
	return &proxy{
		Config: c, dialer: dialer, inner: newIntercepted(),
		transport: &http.Transport{
			Proxy: c.Proxy, DialContext: dialer.DialContext, TLSHandshakeTimeout: c.Timing.Dial,
			ResponseHeaderTimeout: c.Timing.Answer, DisableCompression: true, ForceAttemptHTTP2: true,
			MaxIdleConnsPerHost: 8, IdleConnTimeout: 30 * time.Second,
		},
	}
}

// headerTime bounds how long a client may take to say what it wants.
const headerTime = 30 * time.Second

// Serve proxies until ctx ends, which is no error.
func Serve(ctx context.Context, config Config, l net.Listener) error {
	return newProxy(config).serve(ctx, l)
}

func (p *proxy) serve(ctx context.Context, l net.Listener) error {
	defer p.transport.CloseIdleConnections()
	outer := &http.Server{Handler: p, ReadHeaderTimeout: headerTime}
	inner := &http.Server{Handler: http.HandlerFunc(p.asRegistry), ReadHeaderTimeout: headerTime, ConnContext: withTarget}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return run(outer, l) })
	group.Go(func() error { return run(inner, p.inner) })
	group.Go(func() error {
		<-ctx.Done()
		return errors.Join(outer.Close(), inner.Close())
	})
	return group.Wait()
}

func run(s *http.Server, l net.Listener) error {
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving registries' clients: %w", err)
	}
	return nil
}

// ServeHTTP is what clients of a proxy see.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodConnect:
		p.connect(w, r)
	case r.URL.Host != "":
		p.forward(w, r)
	default:
		http.Error(w, "this is a proxy for pulls of images", http.StatusBadRequest)
	}
}

// connect gives the client a connection to a host, or to what stands for it.
func (p *proxy) connect(w http.ResponseWriter, r *http.Request) {
	t, err := p.target("https", r.Host)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	if len(t.endpoints) == 0 {
		p.tunnel(w, r)
		return
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	cert, err := p.Certificate(host)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	conn, err := hijack(w, "200 Connection established")
	if err != nil {
		p.Log.Warn("a client cannot be taken over", "host", r.Host, "error", err)
		return
	}
	p.inner.offer(&targetConn{tls.Server(conn, &tls.Config{
		Certificates: []tls.Certificate{*cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
	}), t})
}

// refuse says why there is no connection in the status itself: of the answer to a
// CONNECT clients show nothing else.
func (p *proxy) refuse(w http.ResponseWriter, r *http.Request, why error) {
	conn, err := hijack(w, "502 "+strings.Join(strings.Fields(why.Error()), " "))
	if err != nil {
		p.Log.Warn("no connection", "host", r.Host, "why", why, "error", err)
		return
	}
	conn.Close()
}

// hijack takes over a client's connection with a last status. Nothing of what follows
// from the client is in a buffer yet: it waits for that word.
func hijack(w http.ResponseWriter, status string) (net.Conn, error) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write([]byte("HTTP/1.1 " + status + "\r\n\r\n")); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// forward passes on a request without TLS.
func (p *proxy) forward(w http.ResponseWriter, r *http.Request) {
	t, err := p.target(r.URL.Scheme, r.URL.Host)
	if err != nil {
		fail(w, http.StatusBadGateway, err)
		return
	}
	if len(t.endpoints) > 0 {
		p.ask(w, r, t)
		return
	}
	forward := &httputil.ReverseProxy{
		Rewrite: func(*httputil.ProxyRequest) {}, Transport: p.transport, ErrorLog: slog.NewLogLogger(p.Log.Handler(), slog.LevelWarn),
	}
	forward.ServeHTTP(w, r)
}

// asRegistry serves a client that believes to talk to a registry.
func (p *proxy) asRegistry(w http.ResponseWriter, r *http.Request) {
	p.ask(w, r, targetOf(r.Context()))
}
