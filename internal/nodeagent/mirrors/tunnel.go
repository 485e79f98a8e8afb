package mirrors

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/sync/errgroup"
)

// tunnel leads a client to the host it wants, through the node's own proxy if it has one
// for that.
func (p *proxy) tunnel(w http.ResponseWriter, r *http.Request) {
	server, err := p.dial(r.Context(), r.Host)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	defer server.Close()
	client, err := hijack(w, "200 Connection established")
	if err != nil {
		p.Log.Warn("a client cannot be taken over", "host", r.Host, "error", err)
		return
	}
	defer client.Close()
	// What ends badly is a matter of client and server.
	_ = pipe(client, server)
}

// pipe copies both ways, until both ends have no more to say or one fails.
func pipe(a, b net.Conn) error {
	var group errgroup.Group
	one := func(to, from net.Conn) func() error {
		return func() error {
			_, err := io.Copy(to, from)
			if half, ok := to.(interface{ CloseWrite() error }); ok && err == nil {
				return half.CloseWrite()
			}
			return errors.Join(err, to.Close(), from.Close())
		}
	}
	group.Go(one(a, b))
	group.Go(one(b, a))
	return group.Wait()
}

// dial connects to a host ("quay.io:443").
func (p *proxy) dial(ctx context.Context, host string) (net.Conn, error) {
	via, err := p.Proxy(&http.Request{Method: http.MethodGet, URL: &url.URL{Scheme: "https", Host: host}})
	if err != nil {
		return nil, fmt.Errorf("reading the node's proxy settings: %w", err)
	}
	if via == nil {
		conn, err := p.dialer.DialContext(ctx, "tcp", host)
		if err != nil {
			return nil, fmt.Errorf("reaching %s: %w", host, err)
		}
		return conn, nil
	}
	conn, err := p.dialVia(ctx, via, host)
	if err != nil {
		return nil, fmt.Errorf("reaching %s by the proxy %s: %w", host, via.Host, err)
	}
	return conn, nil
}

// dialVia asks an HTTP proxy for a connection.
func (p *proxy) dialVia(ctx context.Context, via *url.URL, host string) (net.Conn, error) {
	conn, err := p.dialProxy(ctx, via)
	if err != nil {
		return nil, err
	}
	if err := askProxy(conn, via.User, host, p.Timing.Answer); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// defaultPorts are those of proxies whose URL names none.
var defaultPorts = map[string]string{"http": "80", "https": "443"}

func (p *proxy) dialProxy(ctx context.Context, via *url.URL) (net.Conn, error) {
	port := via.Port()
	if port == "" {
		port = defaultPorts[via.Scheme]
	}
	addr := net.JoinHostPort(via.Hostname(), port)
	switch via.Scheme {
	case "http":
		return p.dialer.DialContext(ctx, "tcp", addr)
	case "https":
		secure := tls.Dialer{NetDialer: p.dialer, Config: &tls.Config{ServerName: via.Hostname(), MinVersion: tls.VersionTLS12}}
		return secure.DialContext(ctx, "tcp", addr)
	}
	return nil, fmt.Errorf("its kind, %s, is not supported", via.Scheme)
}

// askProxy makes a connection to a proxy one to a host.
func askProxy(conn net.Conn, user *url.Userinfo, host string, within time.Duration) error {
	if err := conn.SetDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	ask := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: host}, Host: host, Header: http.Header{}}
	if user != nil {
		password, _ := user.Password()
		ask.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)))
	}
	if err := ask.Write(conn); err != nil {
		return err
	}
	// A server says nothing before its client does, so that nothing of what follows is
	// in the reader.
	resp, err := http.ReadResponse(bufio.NewReader(conn), ask)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New("it says " + resp.Status)
	}
	return conn.SetDeadline(time.Time{})
}
