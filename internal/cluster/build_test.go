package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kluster-project/kluster/internal/failure"
)

func TestAMissingNodeProgramIsAboutTheInstallation(t *testing.T) {
	err := findNodeBinary(filepath.Join(t.TempDir(), "kluster-node"))
	if !errors.Is(err, os.ErrNotExist) || failure.Code(err) != failure.CodeHost {
		t.Errorf("err = %v, code %d", err, failure.Code(err))
	}
	if hints := strings.Join(failure.Hints(err), " "); !strings.Contains(hints, "make build") {
		t.Errorf("hints %q", hints)
	}
	here := filepath.Join(t.TempDir(), "kluster-node")
	if err := os.WriteFile(here, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"", here} {
		if err := findNodeBinary(path); err != nil {
			t.Errorf("findNodeBinary(%q): %v", path, err)
		}
	}
}
