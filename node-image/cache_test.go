package nodeimage

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

func TestCacheSweepsWhatKilledBuildsLeft(t *testing.T) {
	dir := t.TempDir()
	old, fresh := filepath.Join(dir, "tmp", "old"), filepath.Join(dir, "tmp", "fresh")
	for _, d := range []string{filepath.Join(old, "deep"), fresh} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	long := time.Now().Add(-2 * unfinishedTime)
	if err := os.Chtimes(old, long, long); err != nil {
		t.Fatal(err)
	}
	if _, err := openCache(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("old one is there: %v", err)
	}
	if _, err := os.Stat(fresh); err != nil {
		t.Errorf("fresh one is gone: %v", err)
	}
}

// TestCacheMakesAStepOnce sees that of many who want a step one makes it.
func TestCacheMakesAStepOnce(t *testing.T) {
	c, err := openCache(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	made := make(chan struct{}, 10)
	for range cap(made) {
		wg.Go(func() {
			dir, err := c.get(context.Background(), "x", "k", func(dir string) error {
				made <- struct{}{}
				return os.WriteFile(filepath.Join(dir, "f"), nil, 0o644)
			})
			if err == nil {
				_, err = os.Stat(filepath.Join(dir, "f"))
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(made) != 1 {
		t.Errorf("made %d times", len(made))
	}
}

func TestCacheKeepsNothingOfAFailure(t *testing.T) {
	c, err := openCache(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	want := errors.New("no")
	if _, err := c.get(context.Background(), "x", "k", func(string) error { return want }); !errors.Is(err, want) {
		t.Errorf("got %v", err)
	}
	for _, sub := range []string{"steps", "tmp"} {
		if left, err := os.ReadDir(filepath.Join(c.dir, sub)); err != nil || len(left) > 0 {
			t.Errorf("%s: %v, %v", sub, left, err)
		}
	}
	if _, err := c.get(context.Background(), "x", "k", func(string) error { return nil }); err != nil {
		t.Errorf("the next one: %v", err)
	}
}
