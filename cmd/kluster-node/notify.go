package main

import (
	"context"
	"log/slog"
	"net"
	"os"
)

// notifyReady tells systemd that the service is up, if it asked (Type=notify).
func notifyReady(ctx context.Context, log *slog.Logger) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unixgram", path)
	if err != nil {
		log.Warn("cannot tell systemd that the service is up", "error", err)
		return
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("READY=1")); err != nil {
		log.Warn("cannot tell systemd that the service is up", "error", err)
	}
}
