package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os/signal"

	"github.com/kluster-project/kluster/internal/nodeagent/registry"
)

// runRegistry is the first process of a registry's container. It serves the images of
// an OCI layout folder until it is told to stop.
func runRegistry(ctx context.Context, log *slog.Logger, args []string) error {
	if len(args) != 2 {
		return errors.New("usage: registry FOLDER ADDRESS")
	}
	handler, err := registry.Handler(args[0], log)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, engineStop)
	defer stop()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", args[1])
	if err != nil {
		return fmt.Errorf("listening for clients of the registry: %w", err)
	}
	return registry.Serve(ctx, listener, handler)
}
