package boot

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/nodespec"
)

func TestStepsAreRecorded(t *testing.T) {
	m, _ := newMachine(t, nil)
	ok := func(context.Context, *Machine) error { return nil }
	fail := func(context.Context, *Machine) error { return errBroken }
	if err := Run(t.Context(), m, []Step{{Name: "one", Run: ok}, {Name: "two", Run: fail}, {Name: "three", Run: ok}}); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for line := range strings.Lines(m.text(t, nodespec.BootRecord)) {
		var r Record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		if r.Start.IsZero() || r.End.Before(r.Start) {
			t.Errorf("times of %+v", r)
		}
		got[r.Name] = r.Error
	}
	if diff := cmp.Diff(map[string]string{"one": "", "two": errBroken.Error(), "three": ""}, got); diff != "" {
		t.Error(diff)
	}
}

func TestANodeThatCannotKeepTheRecordBoots(t *testing.T) {
	m, _ := newMachine(t, map[string]string{"/run": "no folder"})
	ran := false
	err := Run(t.Context(), m, []Step{{Name: "one", Needed: true, Run: func(context.Context, *Machine) error { ran = true; return nil }}})
	if err != nil || !ran {
		t.Errorf("ran %v, %v", ran, err)
	}
}
