package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/kluster-project/kluster/internal/nodeagent/apiproxy"
	"github.com/kluster-project/kluster/internal/wait"
)

const (
	awaitPoll = 20 * time.Millisecond
	// awaitLimit ends a wait whose caller is gone.
	awaitLimit = 10 * time.Minute
)

// runAwait returns when the address takes connections. The API server's is tried
// past the proxy that holds connections to it.
func runAwait(ctx context.Context, _ *slog.Logger, args []string) error {
	if len(args) != 1 {
		return errors.New("await takes one address")
	}
	ctx, cancel := context.WithTimeout(ctx, awaitLimit)
	defer cancel()
	dialer := apiproxy.Dialer(time.Second)
	for {
		conn, err := dialer.DialContext(ctx, "tcp", args[0])
		if err == nil {
			return conn.Close()
		}
		if !wait.For(ctx, awaitPoll) {
			return fmt.Errorf("waiting for %s: %w (%w)", args[0], context.Cause(ctx), err)
		}
	}
}
