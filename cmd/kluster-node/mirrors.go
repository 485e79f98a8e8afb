package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/kluster-project/kluster/internal/nodeagent/boot"
	"github.com/kluster-project/kluster/internal/nodeagent/mirrors"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/pki"
)

// runMirrors tells the container runtime of the mirrors that the node was told of; with
// the argument "serve" it is the proxy for one that cannot be told.
func runMirrors(ctx context.Context, log *slog.Logger, args []string) error {
	if len(args) == 1 && args[0] == "serve" {
		return serveMirrors(ctx, log)
	}
	if err := noArguments(args); err != nil {
		return err
	}
	machine, err := newMachine(log)
	if err != nil {
		return err
	}
	return boot.TellMirrors(machine)
}

func serveMirrors(ctx context.Context, log *slog.Logger) error {
	authority, err := mirrorsAuthority()
	if err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(nodespec.MirrorsPort)))
	if err != nil {
		return fmt.Errorf("listening for pulls of images: %w", err)
	}
	notifyReady(ctx, log)
	return mirrors.Serve(ctx, mirrors.Config{
		Mirrors:     func() ([]nodespec.Mirror, error) { return mirrors.Read("") },
		Certificate: cachedCertificates(authority),
		Proxy:       http.ProxyFromEnvironment, Timing: mirrors.DefaultTiming, Log: log,
	}, l)
}

// mirrorsKey is the authority with its key. It lasts as long as the node runs: so does
// the runtime's belief in it.
var mirrorsKey = filepath.Join(filepath.Dir(nodespec.MirrorsTrusted), "authority.pem")

// mirrorsAuthority is the one that the node has, or a new one.
func mirrorsAuthority() (*pki.Servers, error) {
	text, err := os.ReadFile(mirrorsKey)
	if err == nil {
		return pki.ReadServers(text)
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("reading the authority of mirrors: %w", err)
	}
	made, err := pki.NewServers("kluster-mirrors", time.Now())
	if err != nil {
		return nil, err
	}
	if text, err = made.Encode(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(nodespec.MirrorsTrusted, 0o755); err != nil {
		return nil, fmt.Errorf("making the folder of trusted authorities: %w", err)
	}
	// The key comes last: with it, the rest is there too.
	if err := os.WriteFile(nodespec.MirrorsAuthority, made.Certificate(), 0o644); err != nil {
		return nil, fmt.Errorf("writing the authority of mirrors: %w", err)
	}
	if err := os.WriteFile(mirrorsKey, text, 0o600); err != nil {
		return nil, fmt.Errorf("writing the key of mirrors: %w", err)
	}
	return made, nil
}

// cachedCertificates signs a certificate for each host once.
func cachedCertificates(authority *pki.Servers) func(host string) (*tls.Certificate, error) {
	var mu sync.Mutex
	made := map[string]*tls.Certificate{}
	return func(host string) (*tls.Certificate, error) {
		mu.Lock()
		defer mu.Unlock()
		if cert := made[host]; cert != nil {
			return cert, nil
		}
		cert, err := authority.For(host, time.Now())
		if err == nil {
			made[host] = cert
		}
		return cert, err
	}
}
