package cluster

import (
	"errors"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

func TestStartTimeOfAProcessThatNobodyAskedHowItEnded(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// It waits for the end and leaves the process as it is.
	if err := unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := startTime(cmd.Process.Pid); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("err = %v", err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
