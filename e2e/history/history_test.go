package history

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWrite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "history.json")
	want := []Op{write(1, "0", "a", 0, 10*ms), as(read(2, "", 1, 2), Failed)}
	if err := Write(file, want); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got []Op
	for line := range strings.Lines(string(text)) {
		var op Op
		if err := json.Unmarshal([]byte(line), &op); err != nil {
			t.Fatal(err)
		}
		got = append(got, op)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
