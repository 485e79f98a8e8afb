package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/kluster-project/kluster/internal/nodeagent/apiproxy"
	"github.com/kluster-project/kluster/internal/nodeagent/bootstrap"
	"github.com/kluster-project/kluster/internal/wait"
)

const (
	awaitPoll = 20 * time.Millisecond
	// awaitLimit ends a wait whose caller is gone.
	awaitLimit = 10 * time.Minute
)

// runBootstrap is the service that runs at a control plane's first start.
func runBootstrap(ctx context.Context, _ *slog.Logger, args []string) error {
	if err := noArguments(args); err != nil {
		return err
	}
	return bootstrap.Run(ctx, "", os.Stdout)
}

// runAwait returns when what it is told to wait for has come.
func runAwait(ctx context.Context, _ *slog.Logger, args []string) error {
	ctx, cancel := context.WithTimeout(ctx, awaitLimit)
	defer cancel()
	switch {
	case len(args) == 1 && args[0] == "bootstrap":
		return bootstrap.Wait(ctx, "")
	case len(args) == 2 && args[0] == "file":
		return await(ctx, args[1], func() error { return exists(args[1]) })
	case len(args) == 2 && args[0] == "tls":
		return await(ctx, args[1], func() error { return shakesHands(ctx, args[1]) })
	}
	return errors.New("usage: kluster-node await file PATTERN | tls ADDRESS | bootstrap")
}

func await(ctx context.Context, what string, there func() error) error {
	for {
		err := there()
		if err == nil {
			return nil
		}
		if !wait.For(ctx, awaitPoll) {
			return fmt.Errorf("waiting for %s: %w (%w)", what, context.Cause(ctx), err)
		}
	}
}

func exists(pattern string) error {
	found, err := filepath.Glob(pattern)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return os.ErrNotExist
	}
	return nil
}

// shakesHands is nil when a server answers there: an API server accepts
// connections long before. It is tried past the proxy that holds connections to
// it. Who it is does not matter here.
func shakesHands(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	dialer := tls.Dialer{NetDialer: apiproxy.Dialer(time.Second), Config: &tls.Config{InsecureSkipVerify: true}}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return conn.Close()
}
