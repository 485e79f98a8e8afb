package nodeimage

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// twoSteps is a cache with a step "old-k", last used a day ago, of 5 bytes, and
// a fresh one "new-k".
func twoSteps(t *testing.T) *cache {
	t.Helper()
	c, err := openCache(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"old", "new"} {
		if _, err := c.get(t.Context(), name, "k", func(dir string) error {
			if err := os.Mkdir(filepath.Join(dir, "d"), 0o755); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, "d", "f"), []byte("12345"), 0o444)
		}); err != nil {
			t.Fatal(err)
		}
	}
	day := time.Now().Add(-24 * time.Hour)
	if err := os.Chtimes(c.path("old", "k"), day, day); err != nil {
		t.Fatal(err)
	}
	return c
}

func steps(t *testing.T, c *cache) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(c.dir, "steps"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestPrune(t *testing.T) {
	for name, tt := range map[string]struct {
		unused time.Duration
		gone   []string
		kept   []string
	}{
		"all":        {0, []string{"new-k", "old-k"}, nil},
		"unused":     {time.Hour, []string{"old-k"}, []string{"new-k"}},
		"none stale": {48 * time.Hour, []string{}, []string{"new-k", "old-k"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := twoSteps(t)
			left := filepath.Join(c.dir, "tmp", "left")
			if err := os.Mkdir(left, 0o755); err != nil {
				t.Fatal(err)
			}
			got, err := Prune(t.Context(), c.dir, tt.unused)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.Steps, tt.gone) || got.Steps == nil || got.Bytes != int64(5*len(tt.gone)) {
				t.Errorf("removed %+v, want %v", got, tt.gone)
			}
			if kept := steps(t, c); !slices.Equal(kept, tt.kept) {
				t.Errorf("kept %v, want %v", kept, tt.kept)
			}
			if left, err := os.ReadDir(filepath.Join(c.dir, "tmp")); err != nil || len(left) > 0 {
				t.Errorf("left: %v, %v", left, err)
			}
		})
	}
}

// A step that a build takes from the cache is as good as new.
func TestPruneKeepsWhatIsUsed(t *testing.T) {
	c := twoSteps(t)
	if _, err := c.get(t.Context(), "old", "k", func(string) error { return errors.New("made again") }); err != nil {
		t.Fatal(err)
	}
	if got, err := Prune(t.Context(), c.dir, time.Hour); err != nil || len(got.Steps) > 0 {
		t.Errorf("removed %v, %v", got.Steps, err)
	}
}

func TestPruneLeavesBuildsAlone(t *testing.T) {
	c := twoSteps(t)
	var release []func()
	for range 2 { // builds do not wait for each other
		r, err := UseCache(t.Context(), c.dir)
		if err != nil {
			t.Fatal(err)
		}
		release = append(release, r)
	}
	for _, r := range release {
		if _, err := Prune(t.Context(), c.dir, 0); !errors.Is(err, errCacheInUse) {
			t.Errorf("during a build: %v", err)
		}
		r()
	}
	if got, err := Prune(t.Context(), c.dir, 0); err != nil || len(got.Steps) != 2 {
		t.Errorf("after the builds: %v, %v", got, err)
	}
}

func TestPruneThatIsInterrupted(t *testing.T) {
	c := twoSteps(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	cancel(enough)
	if got, err := Prune(ctx, c.dir, 0); !errors.Is(err, enough) || len(got.Steps) > 0 {
		t.Errorf("removed %v, %v", got.Steps, err)
	}
}
