package main

import (
	"context"
	"log/slog"
	"strings"
	"testing"
)

func TestRegistryRefuses(t *testing.T) {
	for says, args := range map[string][]string{
		"usage: registry FOLDER ADDRESS": {"one"},
		"reading the images to serve":    {t.TempDir(), "127.0.0.1:0"},
	} {
		err := runRegistry(context.Background(), slog.New(slog.DiscardHandler), args)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: err = %v", args, err)
		}
	}
}
