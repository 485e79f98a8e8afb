package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/kluster-project/kluster/internal/nodeagent/dockerload"
)

// runDockerLoad gives Docker Engine the stream of images on stdin. A signal ends it at
// once: with its pipes ends what Engine does for it.
func runDockerLoad(ctx context.Context, _ *slog.Logger, args []string) error {
	if err := noArguments(args); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { os.Exit(1) })()
	engine := dockerload.Engine{Socket: "/run/docker.sock", Temp: "/var/lib/docker/tmp"}
	return engine.Load(ctx, os.Stdin)
}
