package local

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/kluster-project/kluster/provider"
)

func TestConnectGivesUpOnASilentEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := connect(t.Context(), func(ctx context.Context) (provider.Provider, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		if p != nil || !errors.Is(err, provider.ErrUnavailable) {
			t.Errorf("got %v, %v; want that the engine is not available", p, err)
		}
	})
}

// TestProgramOfOthers is about programs that use the public package: kluster is not
// beside them.
func TestProgramOfOthers(t *testing.T) {
	dir := t.TempDir()
	want := filepath.Join(dir, "kluster")
	if err := os.WriteFile(want, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	if got, err := Program(); err != nil || got != want || NodeProgram(got) != filepath.Join(dir, "kluster-node") {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	t.Setenv("PATH", t.TempDir())
	if got, err := Program(); err != nil || got != "" {
		t.Errorf("without one: %q, %v", got, err)
	}
}
