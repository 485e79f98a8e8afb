package cluster

import (
	"errors"
	"os"
	"os/exec"
	"testing"
)

func TestCreatorReadsWhatItWrote(t *testing.T) {
	self, err := thisProcess()
	if err != nil {
		t.Fatal(err)
	}
	got, ok := parseCreator(self.String())
	if !ok || got != self {
		t.Errorf("parseCreator(%q) = %+v, %v", self, got, ok)
	}
	if !self.mayRun(self, startTime) {
		t.Error("this process does not run")
	}
	for _, bad := range []string{"", "a/b/c/d", "a/b/-1/d", "a/b/1", "a/b/1/2/3"} {
		if _, ok := parseCreator(bad); ok {
			t.Errorf("parseCreator(%q) accepted", bad)
		}
	}
}

func TestMayRun(t *testing.T) {
	viewer := creator{Boot: "b", PIDNamespace: "n", PID: 1, Started: "1"}
	running := func(pid int) (string, error) {
		if pid == 7 {
			return "70", nil
		}
		return "", os.ErrNotExist
	}
	for name, tc := range map[string]struct {
		c    creator
		want bool
	}{
		"runs":               {creator{"b", "n", 7, "70"}, true},
		"ended":              {creator{"b", "n", 8, "80"}, false},
		"PID was used again": {creator{"b", "n", 7, "69"}, false},
		"another boot":       {creator{"a", "n", 7, "70"}, false},
		"cannot be seen":     {creator{"b", "m", 8, "80"}, true},
	} {
		if got := tc.c.mayRun(viewer, running); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestStartTimeOfAnEndedProcess(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	if _, err := startTime(cmd.Process.Pid); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("err = %v", err)
	}
}
