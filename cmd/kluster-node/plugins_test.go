package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestRootOf(t *testing.T) {
	bundle := t.TempDir()
	for path, want := range map[string]string{"rootfs": filepath.Join(bundle, "rootfs"), "/var/lib/x/merged": "/var/lib/x/merged"} {
		if err := os.WriteFile(filepath.Join(bundle, "config.json"), []byte(`{"root":{"path":"`+path+`"}}`), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := rootOf(bundle)
		if err != nil || got != want {
			t.Errorf("%s: %s, %v", path, got, err)
		}
	}
	if _, err := rootOf(t.TempDir()); err == nil {
		t.Error("a bundle without a configuration has a root")
	}
}
