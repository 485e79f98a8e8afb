package bootstrap

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kluster-project/kluster/internal/nodespec"
)

// node makes the root of a node with these commands.
func node(t *testing.T, commands ...[]string) string {
	t.Helper()
	root := t.TempDir()
	file := filepath.Join(root, nodespec.BootstrapFile)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(commands)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestRunsOnceInOrder(t *testing.T) {
	root := node(t, []string{"echo", "one"}, []string{"echo", "two"})
	if !Pending(root) {
		t.Error("not pending before it ran")
	}
	var out bytes.Buffer
	for range 2 { // the second time is a restart of the node
		if err := Run(t.Context(), root, &out); err != nil {
			t.Fatal(err)
		}
	}
	if Pending(root) {
		t.Error("pending after it ran")
	}
	if out.String() != "one\ntwo\n" {
		t.Errorf("output %q", out.String())
	}
	if err := Wait(t.Context(), root); err != nil {
		t.Error(err)
	}
}

func TestFailureIsTheResult(t *testing.T) {
	root := node(t, []string{"sh", "-c", "echo the cause >&2; exit 3"}, []string{"echo", "never"})
	var out bytes.Buffer
	err := Run(t.Context(), root, &out)
	for _, err := range []error{err, Wait(t.Context(), root)} {
		if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "the cause") {
			t.Errorf("err = %v", err)
		}
	}
	if strings.Contains(out.String(), "never") {
		t.Error("a command ran after one that failed")
	}
}

func TestABootstrapCutShortHasNoResult(t *testing.T) {
	root := node(t, []string{"sleep", "60"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Run(ctx, root, &bytes.Buffer{}); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
	if err := Wait(ctx, root); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait: %v", err)
	}
}

func TestANodeWithoutBootstrap(t *testing.T) {
	if err := Run(t.Context(), t.TempDir(), &bytes.Buffer{}); err != nil {
		t.Error(err)
	}
	if Pending(t.TempDir()) {
		t.Error("pending")
	}
}
