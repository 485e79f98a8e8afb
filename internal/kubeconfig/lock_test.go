package kubeconfig

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// holdVariable makes this test program take the lock of a file, say so, and hold it.
const holdVariable = "KLUSTER_TEST_HOLD_LOCK"

func TestMain(m *testing.M) {
	path := os.Getenv(holdVariable)
	if path == "" {
		os.Exit(m.Run())
	}
	if _, _, err := lock(context.Background(), path); err != nil {
		panic(err)
	}
	_, _ = os.Stdout.WriteString("held\n")
	select {}
}

// heldByAnother has another process hold the lock of a file; kill ends it as SIGKILL
// does.
func heldByAnother(t *testing.T, path string) (kill func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), holdVariable+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, len("held\n"))); err != nil {
		t.Fatal(err)
	}
	return func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
}

func TestLockOfAKlusterThatWasKilledIsBrokenAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	kill := heldByAnother(t, path)
	ctx, cancel := context.WithTimeout(t.Context(), staleAfter/3)
	defer cancel()
	kill()
	warning, err := Merge(ctx, path, rendered(t, "kluster-a"))
	if err != nil || !strings.Contains(warning, path+".lock") {
		t.Errorf("warning %q, error %v", warning, err)
	}
	checkTidy(t, path)
}

func TestLockOfAKlusterThatLivesIsNeverStale(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	kill := heldByAnother(t, path)
	defer kill()
	long := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path+".lock", long, long); err != nil {
		t.Fatal(err)
	}
	reason := errors.New("enough")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, reason)
	defer cancel()
	if _, err := Merge(ctx, path, rendered(t, "kluster-a")); !errors.Is(err, reason) {
		t.Errorf("got error %v, want the context's cause", err)
	}
}

// TestLockIsWaitedFor: what client-go's own lock keeps out goes on when that is gone.
func TestLockIsWaitedFor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	leaveLock(t, path, 0)
	merged := make(chan error, 1)
	go func() {
		_, err := Merge(t.Context(), path, rendered(t, "kluster-a"))
		merged <- err
	}()
	select {
	case err := <-merged:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if err := os.Remove(path + ".lock"); err != nil {
		t.Fatal(err)
	}
	if err := <-merged; err != nil {
		t.Error(err)
	}
}

// TestLeftOfAWrite: what a process that was killed has left of the new file goes.
func TestLeftOfAWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), ".config.kluster"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	mergeInto(t, path, "kluster-a")
	checkTidy(t, path)
}

func TestRemoveSparesTheEntryOfAnotherCreate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	conf, err := Mark(rendered(t, "kluster-a"), "second")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Merge(t.Context(), path, conf); err != nil {
		t.Fatal(err)
	}
	if got := CreationIn(readFile(t, path), "kluster-a"); got != "second" {
		t.Errorf("the entry is of create %q", got)
	}
	for _, tt := range []struct {
		creations []string
		left      int
	}{{nil, 1}, {[]string{"first"}, 1}, {[]string{"first", "second"}, 0}} {
		if _, err := Remove(t.Context(), path, "kluster-a", tt.creations); err != nil {
			t.Fatal(err)
		}
		if c := load(t, readFile(t, path)); len(c.Contexts) != tt.left || len(c.Clusters) != tt.left || len(c.AuthInfos) != tt.left {
			t.Errorf("removed for %q: %d contexts left, want %d", tt.creations, len(c.Contexts), tt.left)
		}
	}
}
