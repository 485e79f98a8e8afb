// Package apiproxy is the node-local proxy to the cluster's API servers: a TCP
// proxy on the loopback address that sends every connection to an API server
// that is ready, the node's own for preference, so that no other machine stands
// between a node and the API.
//
// Readiness is asked over TLS with a time limit: the kernel of a frozen machine
// still accepts connections, so a connection proves nothing. Sessions with an
// API server that is found dead are cut at once, since their clients would
// else wait for a long time.
//
// Until the first server is ready, clients are held instead of turned away. Those
// of a node that starts are turned away before the API server beside them is up,
// and each tries again ever less often: a kubelet registers its node after 0.1,
// 0.3, 0.7, 1.5, 3.1, 6.3 seconds and so on, whenever the API may have come.
package apiproxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/kluster-project/kluster/internal/wait"
)

// Config says what to proxy.
type Config struct {
	// Servers are the API servers as "host:port"; Own is the one of them on
	// this node, or "".
	Servers []string
	Own     string
	// Changes gives the servers again whenever there are others; an empty list is none.
	// Sessions with one that has gone from it stay, as long as it is well. May be nil.
	Changes <-chan []string
	// CAFile holds the certificates, in PEM form, that sign the servers'. It
	// may appear later; until then readiness is unknown and servers are
	// tried in order.
	CAFile string
	// Ready, if not nil, is called once, when the node's own server is ready for
	// the first time, or any where it has none.
	Ready  func(context.Context)
	Timing Timing
	Log    *slog.Logger
}

// Timing of the readiness checks.
type Timing struct {
	// Interval is the pause between checks of a ready server, and Retry that
	// of one that is not, or has just failed.
	Interval, Retry time.Duration
	// Timeout is how long a check or a connection may take.
	Timeout time.Duration
	// Fails is after how many failures in a row a server counts as dead.
	Fails int
	// Hold is how long a client waits at most for the first ready server.
	Hold time.Duration
}

// DefaultTiming finds a dead server within about three seconds. Hold is less than
// the ten seconds that client-go gives a TLS handshake.
var DefaultTiming = Timing{
	Interval: time.Second, Retry: 150 * time.Millisecond, Timeout: 1500 * time.Millisecond, Fails: 2,
	Hold: 8 * time.Second,
}

// Listen binds the proxy's addresses. Those of a family that the node lacks are
// left out, but one must work.
func Listen(ctx context.Context, addrs []string) ([]net.Listener, error) {
	var listeners []net.Listener
	var problems []error
	for _, addr := range addrs {
		var config net.ListenConfig
		l, err := config.Listen(ctx, "tcp", addr)
		switch {
		case err == nil:
			listeners = append(listeners, l)
		case errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EAFNOSUPPORT):
			problems = append(problems, err)
		default:
			return nil, errors.Join(fmt.Errorf("listening for API clients: %w", err), closeAll(listeners))
		}
	}
	if len(listeners) == 0 {
		return nil, fmt.Errorf("listening for API clients: %w", errors.Join(problems...))
	}
	return listeners, nil
}

func closeAll(listeners []net.Listener) error {
	var problems []error
	for _, l := range listeners {
		problems = append(problems, l.Close())
	}
	return errors.Join(problems...)
}

// Serve proxies until ctx ends, which is no error. It closes the listeners and
// every session before it returns.
func Serve(ctx context.Context, config Config, listeners []net.Listener) error {
	if len(config.Servers) == 0 {
		return errors.New("no API servers to proxy to")
	}
	pool := newPool(config)
	group, ctx := errgroup.WithContext(ctx)
	watch := func(servers []*server) {
		for _, s := range servers {
			group.Go(func() error { pool.watch(ctx, s, newChecker(s.addr, config)); return nil })
		}
	}
	watch(slices.Clone(pool.servers))
	group.Go(func() error { pool.follow(ctx, config.Changes, watch); return nil })
	if config.Ready != nil {
		group.Go(func() error { pool.whenReady(ctx, config.Ready); return nil })
	}
	var sessions sync.WaitGroup
	for _, l := range listeners {
		group.Go(func() error { return accept(ctx, l, pool, &sessions) })
	}
	group.Go(func() error {
		<-ctx.Done()
		pool.close()
		return closeAll(listeners)
	})
	err := group.Wait()
	sessions.Wait()
	return err
}

// follow takes over changes of the servers until ctx ends.
func (p *pool) follow(ctx context.Context, changes <-chan []string, watch func([]*server)) {
	for {
		select {
		case <-ctx.Done():
			return
		case servers := <-changes:
			if len(servers) == 0 {
				continue
			}
			p.log.Info("API servers are others now", "servers", servers)
			watch(p.set(servers))
		}
	}
}

func accept(ctx context.Context, l net.Listener, pool *pool, sessions *sync.WaitGroup) error {
	for {
		client, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				client.Close()
			}
			return nil
		case errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE):
			pool.log.Warn("out of open files; waiting for sessions to end")
			if !wait.For(ctx, pool.timing.Retry) {
				return nil
			}
			continue
		case err != nil:
			return fmt.Errorf("accepting API clients: %w", err)
		}
		sessions.Go(func() { pool.serve(ctx, client) })
	}
}
