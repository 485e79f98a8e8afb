package nodeimage

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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
	if err := os.Chtimes(c.path("old-k"), day, day); err != nil {
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
			opt := PruneOptions{Unused: tt.unused, DryRun: true}
			told, err := Prune(t.Context(), c.dir, opt)
			if err != nil {
				t.Fatal(err)
			}
			if now := steps(t, c); len(now) != 2 {
				t.Errorf("a dry run left %v", now)
			}
			opt.DryRun = false
			got, err := Prune(t.Context(), c.dir, opt)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(told, got); diff != "" {
				t.Errorf("the dry run told otherwise: %s", diff)
			}
			if names := outputs(got); !slices.Equal(names, append([]string{"left"}, tt.gone...)) || got.Bytes != int64(5*len(tt.gone)) {
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

// outputs are the names of what was pruned.
func outputs(p Pruned) []string {
	var names []string
	for _, out := range p.Outputs {
		names = append(names, out.Name)
	}
	return names
}

func TestPruneKeepsWhatWasBrought(t *testing.T) {
	dir := t.TempDir()
	if err := Put(t.Context(), dir, "suite-k", func(string) error { return nil }); err != nil {
		t.Fatal(err)
	}
	month := time.Now().Add(-30 * 24 * time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "steps", "suite-k"), month, month); err != nil {
		t.Fatal(err)
	}
	if got, err := Prune(t.Context(), dir, PruneOptions{Unused: time.Hour}); err != nil || len(got.Outputs) > 0 {
		t.Errorf("removed %v, %v", got, err)
	}
	if got, err := Prune(t.Context(), dir, PruneOptions{}); err != nil || !slices.Equal(outputs(got), []string{"suite-k"}) {
		t.Errorf("removed %v, %v", got, err)
	}
}

// Outputs are links to each other's files: what still has a name frees nothing.
func TestPruneCountsWhatIsFreed(t *testing.T) {
	c := twoSteps(t)
	_, err := c.get(t.Context(), "both", "k", func(dir string) error {
		return errors.Join(os.Link(filepath.Join(c.path("old-k"), "d", "f"), filepath.Join(dir, "a")), os.Link(filepath.Join(c.path("new-k"), "d", "f"), filepath.Join(dir, "b")))
	})
	if err != nil {
		t.Fatal(err)
	}
	day := time.Now().Add(-24 * time.Hour)
	if err := os.Chtimes(c.path("both-k"), day, day); err != nil {
		t.Fatal(err)
	}
	opt := PruneOptions{Unused: time.Hour, DryRun: true}
	for range 2 {
		got, err := Prune(t.Context(), c.dir, opt)
		if err != nil || got.Bytes != 5 || len(got.Outputs) != 2 || got.Outputs[0].Bytes+got.Outputs[1].Bytes != 15 {
			t.Errorf("dry run %v: %+v, %v", opt.DryRun, got, err)
		}
		opt.DryRun = false
	}
}

// A step that a build takes from the cache is as good as new.
func TestPruneKeepsWhatIsUsed(t *testing.T) {
	c := twoSteps(t)
	if _, err := c.get(t.Context(), "old", "k", func(string) error { return errors.New("made again") }); err != nil {
		t.Fatal(err)
	}
	if got, err := Prune(t.Context(), c.dir, PruneOptions{Unused: time.Hour}); err != nil || len(got.Outputs) > 0 {
		t.Errorf("removed %v, %v", got.Outputs, err)
	}
}

func TestAloneWaitsForNobody(t *testing.T) {
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
		if _, err := Alone(c.dir); !errors.Is(err, errCacheInUse) {
			t.Errorf("during a build: %v", err)
		}
		r()
	}
	alone, err := Alone(c.dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := UseCache(ctx, c.dir); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("beside one who is alone: %v", err)
	}
	alone()
}

func TestPruneThatIsInterrupted(t *testing.T) {
	c := twoSteps(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	cancel(enough)
	if got, err := Prune(ctx, c.dir, PruneOptions{}); !errors.Is(err, enough) || len(got.Outputs) > 0 {
		t.Errorf("removed %v, %v", got.Outputs, err)
	}
}
