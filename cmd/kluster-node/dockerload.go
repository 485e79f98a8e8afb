package main

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"github.com/kluster-project/kluster/internal/nodeagent/dockerload"
)

// runDockerLoad imports an archive of images from stdin, which is kept in a folder
// meanwhile.
func runDockerLoad(ctx context.Context, _ *slog.Logger, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: docker-load FOLDER")
	}
	return dockerload.Load(ctx, dockerload.Socket, args[0], os.Stdin)
}
