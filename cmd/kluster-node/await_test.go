package main

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// waits says that the command waits for something that does not come.
func waits(t *testing.T, args ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- runAwait(ctx, slog.Default(), args) }()
	cancel()
	if err := <-done; err == nil {
		t.Errorf("await %q: no error", args)
	}
}

func TestAwaitFile(t *testing.T) {
	dir := t.TempDir()
	pattern := filepath.Join(dir, "kube-system_etcd-*")
	waits(t, "file", pattern)
	if err := os.Mkdir(filepath.Join(dir, "kube-system_etcd-n_123"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := runAwait(t.Context(), slog.Default(), []string{"file", pattern}); err != nil {
		t.Error(err)
	}
}

func TestAwaitTLS(t *testing.T) {
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	addr := s.Listener.Addr().String()
	if err := runAwait(t.Context(), slog.Default(), []string{"tls", addr}); err != nil {
		t.Error(err)
	}
	s.Close()
	waits(t, "tls", addr)
}

func TestAwaitUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"tls"}, {"bootstrap", "x"}, {"moon", "x"}} {
		if err := runAwait(t.Context(), slog.Default(), args); err == nil {
			t.Errorf("await %q: no error", args)
		}
	}
}
