package mirrors

import (
	"context"
	"net"
	"sync"

	"github.com/kluster-project/kluster/internal/nodespec"
)

// targetConn is a client's connection, and the registry that the client takes it for.
type targetConn struct {
	net.Conn
	target target
}

type targetKey struct{}

// withTarget is an http.Server's ConnContext.
func withTarget(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, targetKey{}, c.(*targetConn).target)
}

func targetOf(ctx context.Context) target {
	t, _ := ctx.Value(targetKey{}).(target)
	return t
}

// intercepted is a net.Listener of connections that were taken over.
type intercepted struct {
	conns  chan net.Conn
	closed chan struct{}
	once   *sync.Once
}

func newIntercepted() intercepted {
	return intercepted{make(chan net.Conn), make(chan struct{}), new(sync.Once)}
}

// offer hands a connection to whoever accepts.
func (l intercepted) offer(c net.Conn) {
	select {
	case l.conns <- c:
	case <-l.closed:
		c.Close()
	}
}

// Accept implements net.Listener.
func (l intercepted) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l intercepted) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements net.Listener.
func (l intercepted) Addr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: nodespec.MirrorsPort}
}
