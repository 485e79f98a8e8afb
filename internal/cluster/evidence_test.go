package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestOldEvidenceIsRemoved(t *testing.T) {
	p := engine(t)
	m := manager(t, p)
	logs := filepath.Join(m.cacheDir, "logs")
	own := []string{"mine", "mine-2001"} // somebody else's
	for i := range evidenceKept + 3 {
		// Names sort the other way round than times.
		own = append(own, fmt.Sprintf("%c-b-200101%02dT101112", 'z'-i, i+1))
	}
	for _, name := range own {
		if err := os.MkdirAll(filepath.Join(logs, name, "node"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	_, err := m.Create(t.Context(), wanted(t, "a", 1))
	var failed interface{ LogPath() string }
	if !errors.As(err, &failed) || failed.LogPath() == "" {
		t.Fatalf("no logs: %v", err)
	}
	entries, err := os.ReadDir(logs)
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	for _, e := range entries {
		kept = append(kept, e.Name())
	}
	want := append([]string{filepath.Base(failed.LogPath()), "mine", "mine-2001"}, own[len(own)-evidenceKept+1:]...)
	slices.Sort(want)
	if !slices.Equal(kept, want) {
		t.Errorf("kept %v, want %v", kept, want)
	}
}
