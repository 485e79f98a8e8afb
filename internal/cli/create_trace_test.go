package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/kluster-project/kluster/internal/trace"
)

// Whatever becomes of a create, its trace is a file that others may read.
func TestTraceFile(t *testing.T) {
	broken := errors.New("broken")
	for _, want := range []error{nil, broken} {
		var talk bytes.Buffer
		a := newApp(Streams{Out: io.Discard, Err: &talk}, Deps{})
		file := filepath.Join(t.TempDir(), "trace.json")
		err := a.traced(t.Context(), file, func(ctx context.Context) error {
			trace.Start(ctx, trace.Step, "plan", "host").EndWith(want)
			return want
		})
		if !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
		data, err := os.ReadFile(file)
		if err != nil || !json.Valid(data) || !bytes.Contains(data, []byte(`"name":"host"`)) {
			t.Errorf("%v: %s", err, data)
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o644 {
			t.Errorf("%v, mode %v", err, info.Mode())
		}
		if talk.Len() == 0 {
			t.Error("no summary")
		}
	}
}

func TestNoTrace(t *testing.T) {
	a := newApp(Streams{Out: io.Discard, Err: io.Discard}, Deps{})
	err := a.traced(t.Context(), "", func(ctx context.Context) error {
		if trace.FromContext(ctx) != nil {
			return errors.New("somebody records")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
