package golden

import (
	"os"
	"path/filepath"
	"testing"
)

// recorder is a test that may fail without failing this one.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Errorf(string, ...any) { r.failed = true }

func TestCheck(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.golden")
	if err := os.WriteFile(file, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		got    string
		update bool
		failed bool
	}{
		{"old", false, false},
		{"new", false, true},
		{"new", true, false},
		{"new", false, false},
		{"old", false, true},
	} {
		*update = test.update
		r := &recorder{TB: t}
		Check(r, file, test.got)
		if r.failed != test.failed {
			t.Errorf("%+v: failed is %t", test, r.failed)
		}
	}
}
