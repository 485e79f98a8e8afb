package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/provider"
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

func TestWhatAFullDiskIs(t *testing.T) {
	said := syscall.ENOSPC.Error()
	for name, tt := range map[string]struct {
		err  error
		want bool
	}{
		"none":                    {nil, false},
		"another":                 {errors.New("broken"), false},
		"a file":                  {fmt.Errorf("writing: %w", &os.PathError{Op: "write", Path: "/a", Err: syscall.ENOSPC}), true},
		"a program's words":       {fmt.Errorf("go build: %w", failure.New("exit status 1", failure.Output("link: "+said))), true},
		"the engine's":            {fmt.Errorf("loading: %w: write /a: %s", provider.ErrNoSpace, said), false},
		"in a throw-away machine": {&provider.ExecError{Output: said}, false},
	} {
		if got := isDiskFull(tt.err); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
