package main

import (
	"context"
	"log/slog"
	"net"
	"testing"
)

func TestAwait(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	if err := runAwait(t.Context(), slog.Default(), []string{at}); err != nil {
		t.Error(err)
	}
	l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- runAwait(ctx, slog.Default(), []string{at}) }()
	cancel()
	if err := <-done; err == nil {
		t.Error("no error for an address where nobody listens")
	}
	if err := runAwait(t.Context(), slog.Default(), nil); err == nil {
		t.Error("no error without an address")
	}
}
