package docker

import "testing"

// TestFreeBytes: what is not known is not taken for full.
func TestFreeBytes(t *testing.T) {
	for path, known := range map[string]bool{t.TempDir(): true, "/proc": false, "/no/such/folder": false} {
		if free := freeBytes(path); (free > 0) != known {
			t.Errorf("%d bytes at %s", free, path)
		}
	}
}
